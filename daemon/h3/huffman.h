/* SPDX-License-Identifier: BSD-2-Clause */
/* Huffman decoding of QPACK string literals (RFC 7541 §5.2, Appendix B). */
#pragma once

#include "base/base.h"

/*
 * qb_huffman_decode writes the decoded string to out. Returns its length, -EBADMSG (EOS inside, or
 * wrong padding), or -E2BIG (longer than cap).
 */
int qb_huffman_decode(const uint8_t *in, size_t len, uint8_t *out, size_t cap) QB_MUST_CHECK;
