/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Erasure codes over bytes: XOR, and Reed-Solomon over GF(2^8) with a Cauchy matrix, by ISA-L. Any
 * K of the K + R symbols of a block give back the K sources. A source that is shorter than the
 * others counts as filled up with zeros.
 */
#pragma once

#include "base/base.h"

enum {
	QB_FEC_SOURCES_MAX = 32,
	QB_FEC_REPAIRS_MAX = 16,
	QB_FEC_TABLE_BYTES = 32, /* ISA-L's for a coefficient, at most */
	QB_FEC_TABLES_BYTES = QB_FEC_REPAIRS_MAX * QB_FEC_SOURCES_MAX * QB_FEC_TABLE_BYTES,
};

enum qb_fec_scheme { QB_FEC_XOR, QB_FEC_RS, QB_FEC_SCHEME_CNT };

struct qb_fec_code {
	bool has_tables; /* they are made when they are first needed: most connections never do */
	uint8_t *tables; /* of all coefficients, by repair symbol */
};

/* qb_fec_code_init is given QB_FEC_TABLES_BYTES; they are not touched yet. */
void qb_fec_code_init(struct qb_fec_code *c, uint8_t *tables);
/* qb_fec_code_add adds source `idx` to the first repair_cnt repair symbols; each has room for len
 * bytes. */
void qb_fec_code_add(struct qb_fec_code *c, enum qb_fec_scheme scheme, uint32_t idx,
		     const uint8_t *source, uint32_t len, uint32_t repair_cnt,
		     uint8_t *const *repairs);
/* qb_fec_code_drop takes a source that is known out of one repair symbol. */
void qb_fec_code_drop(enum qb_fec_scheme scheme, uint32_t idx, const uint8_t *source, uint32_t len,
		      uint32_t repair_idx, uint8_t *repair);
/*
 * qb_fec_code_solve makes `cnt` missing sources out of as many repair symbols from which every
 * other source was dropped. False: these symbols do not tell (no sender's fault can make that
 * happen with Reed-Solomon).
 */
bool qb_fec_code_solve(enum qb_fec_scheme scheme, uint32_t cnt, const uint8_t *repair_idx,
		       uint8_t *const *repairs, const uint8_t *source_idx, uint8_t *const *sources,
		       uint32_t len) QB_MUST_CHECK;
