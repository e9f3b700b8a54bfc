/* SPDX-License-Identifier: BSD-2-Clause */
/* Hexadecimal text of test vectors to bytes, for this folder's tls tests. */
#pragma once

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* tls_unhex fills out and returns the number of bytes. */
static inline size_t tls_unhex(const char *hex, uint8_t *out, size_t cap)
{
	size_t len = strlen(hex) / 2;

	ck_assert_uint_le(len, cap);
	for (size_t i = 0; i < len; i++)
		ck_assert_int_eq(sscanf(hex + 2 * i, "%2hhx", &out[i]), 1);
	return len;
}
