/* SPDX-License-Identifier: ISC */
/* The capabilities that change what we send, and no others. */
#include "imap/caps.h"

#include "imap/value.h"

unsigned
caps_read(struct span words)
{
    static const struct {
        struct span word;
        enum caps cap;
    } table[] = {
        {SPAN("STARTTLS"), CAPS_STARTTLS},
        {SPAN("LOGINDISABLED"), CAPS_LOGINDISABLED},
        {SPAN("SASL-IR"), CAPS_SASL_IR},
        {SPAN("AUTH=PLAIN"), CAPS_PLAIN},
        {SPAN("AUTH=XOAUTH2"), CAPS_XOAUTH2},
        {SPAN("AUTH=OAUTHBEARER"), CAPS_OAUTHBEARER},
        {SPAN("LITERAL+"), CAPS_LITERAL_PLUS},
        {SPAN("LITERAL-"), CAPS_LITERAL_MINUS},
        {SPAN("ID"), CAPS_ID},
        {SPAN("IDLE"), CAPS_IDLE},
        {SPAN("UIDPLUS"), CAPS_UIDPLUS},
        {SPAN("MOVE"), CAPS_MOVE},
    };
    unsigned caps = 0;
    while (words.n > 0) {
        struct span word = value_word(&words);
        for (size_t i = 0; i < sizeof table / sizeof *table; i++)
            if (span_ieq(word, table[i].word))
                caps |= table[i].cap;
    }
    return caps;
}
