/* SPDX-License-Identifier: ISC */
/*
 * Whether bytes are PEM certificates and nothing else: all that root checks of
 * what it installs.  What the certificates say is the engine's affair; here it
 * matters that no other file can be made of them.
 */
#pragma once

#include <stddef.h>

/*
 * How many well-formed CERTIFICATE blocks text consists of: LF behind every
 * line, base64 lines of 64 with a shorter last one, nothing between blocks.
 * -1 when there is anything else in it.  0 for no bytes.
 */
int pemtext_certs(const char *text, size_t len);
