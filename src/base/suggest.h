/*
 * suggest: "did you mean": the known word nearest to a typo.
 * Never knows mail, files or time.
 */
#ifndef MAILCALL_BASE_SUGGEST_H
#define MAILCALL_BASE_SUGGEST_H

#include "base/strv.h"

/* The nearest of `known` by edits (a swap of neighbours is one), if near enough for the word's
 * length; else NULL. Words over 64 bytes get no suggestion. */
const char *suggest(const char *word, const struct strv *known);

#endif
