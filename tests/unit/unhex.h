/* SPDX-License-Identifier: BSD-2-Clause */
/* Hexadecimal text of test vectors to bytes; blanks may stand between bytes. */
#pragma once

#include <stdint.h>
#include <stdlib.h>

/* unhex fills out, which the caller knows to be large enough, and returns the number of bytes. */
static inline size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = 0;

	for (; hex[0]; hex += hex[0] == ' ' ? 1 : 2) {
		char pair[3] = {hex[0], hex[1], 0};

		if (hex[0] != ' ')
			out[n++] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return n;
}
