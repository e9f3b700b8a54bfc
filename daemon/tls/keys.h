/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packet protection (RFC 9001 §5, RFC 10069 §2.4): AEAD and header protection keys of one direction of one
 * encryption level, over all three AEADs. Keys live on the heap of this folder: they are made at
 * handshakes and key updates, never per packet.
 */
#pragma once

#include "base/base.h"

enum qb_level { QB_LEVEL_INITIAL, QB_LEVEL_EARLY, QB_LEVEL_HANDSHAKE, QB_LEVEL_APP, QB_LEVEL_CNT };

enum qb_suite { QB_SUITE_AES128GCM, QB_SUITE_AES256GCM, QB_SUITE_CHACHA20, QB_SUITE_CNT };

enum {
	QB_AEAD_TAG_LEN = 16,
	QB_HP_SAMPLE_LEN = 16,
	QB_HP_MASK_LEN = 5,
	QB_SECRET_MAX = 48,
	QB_RESET_TOKEN_LEN = 16,
};

#define QB_QUIC_V1 UINT32_C(0x00000001)
#define QB_QUIC_V2 UINT32_C(0x6b3343cf)

struct qb_keys;

/* qb_suite_is_fast: the CPU has instructions for AES; without, ChaCha20-Poly1305 is chosen. */
bool qb_suite_is_fast(void);
/* qb_suite_name returns "AES-128-GCM" and so on. */
const char *qb_suite_name(enum qb_suite suite);
/* qb_suite_confidentiality_limit / _integrity_limit: packets per key, failed opens per connection (RFC 9001 §6.6). */
uint64_t qb_suite_confidentiality_limit(enum qb_suite suite);
uint64_t qb_suite_integrity_limit(enum qb_suite suite);

/*
 * qb_keys_new derives key, IV and header protection key from a traffic secret. NULL when out of memory
 * or for an unknown version.
 */
struct qb_keys *qb_keys_new(uint32_t version, enum qb_suite suite, const uint8_t *secret, size_t secret_len);
/*
 * qb_keys_new_initial makes both directions' Initial keys for a version and the client's first Destination
 * Connection ID (RFC 9001 §5.2). Returns 0, -ENOMEM, or -EINVAL for an unknown version.
 */
int qb_keys_new_initial(uint32_t version, const uint8_t *dcid, size_t dcid_len, bool is_server,
			struct qb_keys **rx, struct qb_keys **tx) QB_MUST_CHECK;
/* qb_keys_next makes the following key phase; header protection stays (RFC 9001 §6.1). */
struct qb_keys *qb_keys_next(const struct qb_keys *k);
/* qb_keys_free wipes and frees; NULL is fine. */
void qb_keys_free(struct qb_keys *k);
enum qb_suite qb_keys_suite(const struct qb_keys *k);

/*
 * qb_keys_seal encrypts payload_len bytes at pkt + hdr_len in place and appends the 16-byte tag; the header
 * is the associated data. path_id is 0 outside 1-RTT (RFC 10069 §2.4). Header protection is separate.
 */
void qb_keys_seal(const struct qb_keys *k, uint32_t path_id, uint64_t pn, uint8_t *pkt, size_t hdr_len,
		  size_t payload_len);
/* qb_keys_open is the reverse; sealed_len counts the tag. Returns the payload length or -EBADMSG. */
int qb_keys_open(const struct qb_keys *k, uint32_t path_id, uint64_t pn, uint8_t *pkt, size_t hdr_len,
		 size_t sealed_len) QB_MUST_CHECK;
void qb_keys_hp_mask(const struct qb_keys *k, const uint8_t sample[QB_HP_SAMPLE_LEN],
		     uint8_t mask[QB_HP_MASK_LEN]);

/*
 * qb_retry_tag computes the Retry Integrity Tag (RFC 9001 §5.8) of a Retry packet without its tag. The
 * version is one of ours.
 */
void qb_retry_tag(uint32_t version, const uint8_t *odcid, size_t odcid_len, const uint8_t *retry,
		  size_t retry_len, uint8_t tag[16]);
