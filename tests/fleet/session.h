/* SPDX-License-Identifier: ISC */
/* What an attempt asks of session.c beyond the engine's session.h. */
#pragma once

#include "daemon/engine/session.h"

/* It answers, and says what time it is. */
void session_heard(struct session *);
/* True: it does not, e says why, and nobody asks for a while. */
bool session_out(struct session *, struct err *e);
void sessions_end(void);
