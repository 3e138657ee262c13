/*
 * steps: what the steps of a session send, and what their answers mean: the cells of the table in
 * session.c.
 * Never knows sockets, TLS, timers, rules, hooks or logging.
 */
#ifndef MAILCALL_IMAP_STEPS_H
#define MAILCALL_IMAP_STEPS_H

#include "imap/inside.h"

/* The arguments of the command begun; 0, or -1 when it cannot be written. */
step_write steps_write_login, steps_write_id, steps_write_mailbox, steps_write_search,
    steps_write_act, steps_write_fetch, steps_write_whole;
/* `refused` ends the session with the kind in its row, `settled` means nothing. */
step_answer steps_greeted, steps_capable, steps_tls_agreed, steps_logged_in, steps_login_no,
    steps_login_bad, steps_examined, steps_highest_found, steps_searched, steps_acted,
    steps_act_bad, steps_fetched, steps_fetch_no, steps_fetch_bad, steps_idle_over,
    steps_idle_refused, steps_logged_out, steps_refused, steps_settled;

/* What follows the greeting, or its like after STARTTLS. */
void steps_plan_after_greeting(struct session *s);
/* The login, as soon as the secret is there. */
void steps_plan_login(struct session *s);
/* "+": the server accepts IDLE. */
void steps_idle_begun(struct session *s);

#endif
