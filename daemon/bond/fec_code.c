/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The arithmetic of forward error correction, called by fec_tx.c and fec_rx.c.
 *
 * Repair symbol j is the sum of the sources i, each times 1 / (x_j + y_i), with x_j = 32 + j and
 * y_i = i: a Cauchy matrix, of which every square part can be inverted. The coefficients do not
 * depend on how many sources a block has, so that a block may be closed at any time, and a repair
 * symbol is made as the sources pass, without keeping them.
 */
#include "bond/fec_code.h"

#include <isa-l/erasure_code.h>

static uint8_t coefficient(enum qb_fec_scheme scheme, uint32_t repair, uint32_t source)
{
	if (scheme == QB_FEC_XOR)
		return 1;
	return gf_inv((uint8_t)((QB_FEC_SOURCES_MAX + repair) ^ source));
}

void qb_fec_code_init(struct qb_fec_code *c, uint8_t *tables)
{
	c->has_tables = false;
	c->tables = tables;
}

static uint8_t *tables_of(struct qb_fec_code *c)
{
	uint8_t matrix[QB_FEC_REPAIRS_MAX * QB_FEC_SOURCES_MAX];

	if (QB_LIKELY(c->has_tables))
		return c->tables;
	c->has_tables = true;
	for (uint32_t j = 0; j < QB_FEC_REPAIRS_MAX; j++)
		for (uint32_t i = 0; i < QB_FEC_SOURCES_MAX; i++)
			matrix[j * QB_FEC_SOURCES_MAX + i] = coefficient(QB_FEC_RS, j, i);
	ec_init_tables(QB_FEC_SOURCES_MAX, QB_FEC_REPAIRS_MAX, matrix, c->tables);
	return c->tables;
}

static void xor_into(uint8_t *to, const uint8_t *from, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		to[i] ^= from[i];
}

void qb_fec_code_add(struct qb_fec_code *c, enum qb_fec_scheme scheme, uint32_t idx,
		     const uint8_t *source, uint32_t len, uint32_t repair_cnt,
		     uint8_t *const *repairs)
{
	if (scheme == QB_FEC_XOR)
		xor_into(repairs[0], source, len);
	else
		ec_encode_data_update((int)len, QB_FEC_SOURCES_MAX, (int)repair_cnt, (int)idx,
				      tables_of(c), (uint8_t *)source, (uint8_t **)repairs);
}

void qb_fec_code_drop(enum qb_fec_scheme scheme, uint32_t idx, const uint8_t *source, uint32_t len,
		      uint32_t repair_idx, uint8_t *repair)
{
	uint8_t by = coefficient(scheme, repair_idx, idx), table[QB_FEC_TABLE_BYTES];

	/* In this field taking away is adding. */
	if (scheme == QB_FEC_XOR) {
		xor_into(repair, source, len);
		return;
	}
	/* How long a coefficient's table is depends on the CPU: there is no reaching into
	 * c->tables. */
	ec_init_tables(1, 1, &by, table);
	ec_encode_data_update((int)len, 1, 1, 0, table, (uint8_t *)source, &repair);
}

bool qb_fec_code_solve(enum qb_fec_scheme scheme, uint32_t cnt, const uint8_t *repair_idx,
		       uint8_t *const *repairs, const uint8_t *source_idx, uint8_t *const *sources,
		       uint32_t len)
{
	uint8_t matrix[QB_FEC_REPAIRS_MAX * QB_FEC_REPAIRS_MAX],
		inverse[QB_FEC_REPAIRS_MAX * QB_FEC_REPAIRS_MAX];
	uint8_t tables[QB_FEC_REPAIRS_MAX * QB_FEC_REPAIRS_MAX * QB_FEC_TABLE_BYTES];

	if (cnt == 0 || cnt > QB_FEC_REPAIRS_MAX)
		return false;
	for (uint32_t a = 0; a < cnt; a++)
		for (uint32_t b = 0; b < cnt; b++)
			matrix[a * cnt + b] = coefficient(scheme, repair_idx[a], source_idx[b]);
	if (gf_invert_matrix(matrix, inverse, (int)cnt) != 0)
		return false;
	ec_init_tables((int)cnt, (int)cnt, inverse, tables);
	ec_encode_data((int)len, (int)cnt, (int)cnt, tables, (uint8_t **)repairs,
		       (uint8_t **)sources);
	return true;
}
