/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Internet checksum (RFC 1071). Sums are kept in the machine's byte
 * order, which the ones' complement sum does not mind, as long as results are stored by
 * qb_csum_store.
 */
#pragma once

#include "base/base.h"

/* qb_csum_add adds len bytes to a sum. Only the last piece of what is summed may have an odd
 * length. */
uint64_t qb_csum_add(uint64_t sum, const void *data, size_t len);
/* qb_csum_copy also copies them to dst, in the same pass. */
uint64_t qb_csum_copy(uint64_t sum, void *dst, const void *src, size_t len);

/* qb_csum_fold brings a sum down to 16 bits, not inverted: 0xffff when the summed data holds its
 * checksum. */
static inline uint16_t qb_csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* qb_csum_store writes the checksum of a sum to a header. */
static inline void qb_csum_store(uint8_t *p, uint64_t sum)
{
	uint16_t v = (uint16_t)~qb_csum_fold(sum);

	memcpy(p, &v, sizeof(v));
}

/* qb_csum_word is what a 16-bit number in host order adds to a sum. */
static inline uint64_t qb_csum_word(uint16_t host)
{
	uint8_t b[2];
	uint16_t v;

	qb_store_be16(b, host);
	memcpy(&v, b, sizeof(v));
	return v;
}

/* qb_csum_pseudo is the sum of the pseudo header of TCP, UDP and ICMPv6: addrs holds source, then
 * destination. */
static inline uint64_t qb_csum_pseudo(const uint8_t *addrs, size_t addrs_len, uint8_t proto,
				      uint32_t l4_len)
{
	/* Folded first, so that the words cannot overflow it. */
	return qb_csum_fold(qb_csum_add(0, addrs, addrs_len)) + qb_csum_word(proto) +
	       qb_csum_word((uint16_t)l4_len) + qb_csum_word((uint16_t)(l4_len >> 16));
}
