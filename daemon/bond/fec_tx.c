/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sender's side of forward error correction, called by the bond as packets leave: each is added
 * to the repair symbols of its class's block and goes on its way. A block ends when it has its
 * sources, or when its first would have to wait too long for a repair; then the symbols leave, by
 * another path than the sources where there is one.
 *
 * What auto does for calls: nothing while the links are good, or while a retransmission comes in
 * time; else blocks of as many packets as come within the waiting time, and as few repair symbols
 * as leave one packet in a thousand unprotected, inside the bounds that are configured.
 */
#include "bond/fec.h"

#include <stdio.h>

/* Loss from which calls are protected, and below which they are not any more. */
#define LOSS_ON	 0.005
#define LOSS_OFF 0.002
/* What may stay lost. */
#define RESIDUAL 0.001
/* If a retransmission takes no longer than this, calls need no repair symbols. */
#define CALL_DEADLINE_NS (60 * QB_NS_PER_MS)
/* What a retransmission takes beyond a round trip and a half. */
#define REPAIR_MARGIN_NS (20 * QB_NS_PER_MS)

enum {
	CREDIT_MAX_BYTES = 8192, /* auto: the bound on repairs holds but for a burst of these */
	GAP_MEMORY = 8,
};

void qb_fec_tx_init(struct qb_fec_tx *f, struct qb_fec_code *code, struct qb_pool *pool,
		    struct qb_counters *counters)
{
	memset(f, 0, sizeof(*f));
	f->code = code;
	f->pool = pool;
	f->counters = counters;
}

static void drop_repairs(struct qb_fec_tx *f, struct qb_fec_open *o)
{
	for (uint32_t i = 0; i < QB_FEC_REPAIRS_MAX; i++) {
		if (o->repairs[i])
			qb_buf_put(f->pool, o->repairs[i]);
		o->repairs[i] = NULL;
	}
}

void qb_fec_tx_fini(struct qb_fec_tx *f)
{
	for (uint32_t c = 0; c < QB_CLASS_CNT; c++)
		drop_repairs(f, &f->open[c]);
}

/* ---- how much ---- */

/* unprotected is the part of the sources that stays lost when any repairs of (sources + repairs)
 * symbols may be lost. */
static double unprotected(uint32_t sources, uint32_t repairs, double loss)
{
	uint32_t n = sources + repairs;
	double term = 1, sum = 0;

	/* term: the chance that x of n are lost */
	for (uint32_t i = 0; i < n; i++)
		term *= 1 - loss;
	for (uint32_t x = 1; x <= n; x++) {
		term *= loss / (1 - loss) * (n - x + 1) / x;
		if (x > repairs)
			sum += term * x / n;
	}
	return sum;
}

/* part_of: that many per cent of the sources, rounded up. */
static uint32_t part_of(uint32_t sources, uint32_t pct)
{
	return (sources * pct + 99) / 100;
}

/* repairs_for is the least that is good enough, inside the bounds. */
static uint8_t repairs_for(const struct qb_fec_tx *f, uint32_t sources,
			   const struct qb_fec_plan *bounds)
{
	uint32_t most = QB_MIN(QB_MAX(sources * bounds->max_pct / 100, 1u),
			       (uint32_t)QB_FEC_REPAIRS_MAX);
	/* A burst takes several of a block at once, if it is no longer than the block. */
	uint32_t least = QB_MAX((uint32_t)(f->why_burst + 0.5), part_of(sources, bounds->min_pct));
	uint32_t r = QB_MIN(QB_MAX(least, 1u), most);

	while (r < most && unprotected(sources, r, f->why_loss) > RESIDUAL)
		r++;
	return (uint8_t)r;
}

void qb_fec_tx_look(struct qb_fec_tx *f, double loss, double burst, uint64_t rtt_ns)
{
	f->why_loss = QB_MIN(loss, 0.5);
	f->why_burst = QB_MIN(burst, (double)QB_FEC_REPAIRS_MAX);
	f->repair_ns = rtt_ns + rtt_ns / 2 + REPAIR_MARGIN_NS;
	f->is_on = f->why_loss > (f->is_on ? LOSS_OFF : LOSS_ON) && f->repair_ns > CALL_DEADLINE_NS;
}

struct qb_fec_plan qb_fec_tx_plan(const struct qb_fec_tx *f, const struct qb_fec_want *wanted,
				  bool is_call)
{
	if (wanted->mode == QB_FEC_FIXED)
		return (struct qb_fec_plan){.scheme = wanted->is_rs ? QB_FEC_RS : QB_FEC_XOR,
					    .sources = wanted->sources,
					    .repairs = wanted->repairs};
	if (wanted->mode == QB_FEC_OFF || !is_call || !f->is_on)
		return (struct qb_fec_plan){0};
	/* Chosen when a block begins. */
	return (struct qb_fec_plan){
		.sources = QB_FEC_SOURCES_MAX,
		.min_pct = wanted->min_pct ? wanted->min_pct : QB_FEC_MIN_PCT,
		.max_pct = wanted->max_pct ? wanted->max_pct : QB_FEC_MAX_PCT,
	};
}

static struct qb_fec_plan choose_plan(struct qb_fec_tx *f, const struct qb_fec_open *o,
				      const struct qb_fec_plan *bounds, uint64_t wait_ns)
{
	uint64_t sources = o->gap_ns ? wait_ns / o->gap_ns + 1 : 2;
	struct qb_fec_plan plan = *bounds;

	plan.sources = (uint8_t)qb_min_u64(qb_max_u64(sources, 2), QB_FEC_SOURCES_MAX);
	plan.repairs = repairs_for(f, plan.sources, bounds);
	plan.scheme = plan.repairs == 1 ? QB_FEC_XOR : QB_FEC_RS;
	/* Where even one is too many, only some blocks get theirs. */
	f->share = QB_MIN((double)plan.repairs / plan.sources, bounds->max_pct / 100.0);
	return plan;
}

/* ---- blocks ---- */

static bool begin(struct qb_fec_tx *f, struct qb_fec_open *o, const struct qb_fec_plan *plan,
		  uint64_t wait_ns, uint64_t now_ns)
{
	o->is_auto = plan->repairs == 0;
	o->plan = o->is_auto ? choose_plan(f, o, plan, wait_ns) : *plan;
	if (qb_pool_is_scarce(f->pool))
		return false;
	for (uint32_t i = 0; i < o->plan.repairs; i++) {
		o->repairs[i] = qb_buf_get(f->pool);
		if (!o->repairs[i]) {
			drop_repairs(f, o);
			return false;
		}
	}
	o->number = f->next_block++ & QB_FEC_BLOCK_MASK;
	o->symbol_len = 0;
	o->close_ns = now_ns + wait_ns;
	memset(o->by_path, 0, sizeof(o->by_path));
	qb_count(f->counters, QB_CNT_FEC_BLOCKS);
	return true;
}

static void note_gap(struct qb_fec_open *o, uint64_t now_ns)
{
	uint64_t gap_ns = now_ns - o->last_ns;

	/* After a pause it begins anew. */
	if (o->last_ns == 0 || gap_ns > QB_NS_PER_SEC)
		o->gap_ns = 0;
	else if (o->gap_ns == 0)
		o->gap_ns = gap_ns;
	else
		o->gap_ns += (uint64_t)((int64_t)(gap_ns - o->gap_ns) / GAP_MEMORY);
	o->last_ns = now_ns;
}

static void add_symbol(struct qb_fec_tx *f, struct qb_fec_open *o, struct qb_buf *b)
{
	uint8_t *symbols[QB_FEC_REPAIRS_MAX];
	uint32_t len = b->len + QB_FEC_LENGTH_LEN;

	qb_store_be16(qb_buf_push(b, QB_FEC_LENGTH_LEN), (uint16_t)(len - QB_FEC_LENGTH_LEN));
	for (uint32_t i = 0; i < o->plan.repairs; i++) {
		symbols[i] = o->repairs[i]->data;
		if (len > o->symbol_len)
			memset(symbols[i] + o->symbol_len, 0, len - o->symbol_len);
	}
	o->symbol_len = QB_MAX(o->symbol_len, len);
	qb_fec_code_add(f->code, o->plan.scheme, o->source_cnt, b->data, len, o->plan.repairs,
			symbols);
	qb_buf_pull(b, QB_FEC_LENGTH_LEN);
}

bool qb_fec_tx_add(struct qb_fec_tx *f, const struct qb_fec_plan *plan, struct qb_buf *b,
		   uint64_t wait_ns, uint64_t now_ns)
{
	struct qb_fec_open *o = &f->open[qb_buf_class(b)];
	struct qb_fec_header h;

	note_gap(o, now_ns);
	if (b->len + QB_FEC_LENGTH_LEN > QB_FEC_SYMBOL_MAX ||
	    (o->source_cnt == 0 && !begin(f, o, plan, wait_ns, now_ns)))
		return false;
	add_symbol(f, o, b);
	h = (struct qb_fec_header){.block = o->number, .idx = (uint8_t)o->source_cnt};
	qb_fec_header_build(qb_buf_push(b, QB_FEC_SOURCE_LEN), &h);
	b->flags |= QB_BUF_FEC;
	o->by_path[b->path % QB_BOND_PATHS_MAX]++;
	o->source_cnt++;
	if (o->is_auto)
		f->credit_bytes = QB_MIN(f->credit_bytes + b->len * o->plan.max_pct / 100,
					 (uint32_t)CREDIT_MAX_BYTES);
	qb_count(f->counters, QB_CNT_FEC_PROTECTED);
	qb_count_add(f->counters, QB_CNT_FEC_PROTECTED_BYTES, b->len);
	return true;
}

/* ---- repair symbols ---- */

static bool is_due(const struct qb_fec_open *o, uint64_t now_ns)
{
	return o->source_cnt && (o->source_cnt >= o->plan.sources || now_ns >= o->close_ns);
}

/* share_of is how many symbols a block gets that may have ended early. */
static uint32_t share_of(const struct qb_fec_open *o)
{
	uint32_t part = (o->source_cnt * o->plan.repairs + o->plan.sources - 1) / o->plan.sources;

	return QB_MIN(QB_MAX(part, 1u), (uint32_t)o->plan.repairs);
}

static uint64_t busiest_path(const struct qb_fec_open *o)
{
	uint32_t most = 0;

	for (uint32_t i = 1; i < QB_BOND_PATHS_MAX; i++)
		if (o->by_path[i] > o->by_path[most])
			most = i;
	return UINT64_C(1) << most;
}

/* finish makes a symbol a datagram's payload. */
static void finish(const struct qb_fec_open *o, struct qb_buf *b, uint32_t idx)
{
	struct qb_fec_header h = {.is_repair = true,
				  .scheme = o->plan.scheme,
				  .idx = (uint8_t)idx,
				  .source_cnt = (uint8_t)o->source_cnt,
				  .block = o->number};

	b->len = o->symbol_len;
	qb_fec_header_build(qb_buf_push(b, QB_FEC_REPAIR_LEN), &h);
	b->flags = QB_BUF_FEC;
}

/* take_symbol takes the last one that is left; the block ends with the first. */
static struct qb_buf *take_symbol(struct qb_fec_tx *f, struct qb_fec_open *o)
{
	uint32_t idx = share_of(o);
	struct qb_buf *b;

	while (idx > 0 && !o->repairs[idx - 1])
		idx--;
	if (idx == 0 || (o->is_auto && f->credit_bytes < o->symbol_len)) {
		drop_repairs(f, o);
		o->source_cnt = 0;
		return NULL;
	}
	b = o->repairs[--idx];
	o->repairs[idx] = NULL;
	finish(o, b, idx);
	if (o->is_auto)
		f->credit_bytes -= o->symbol_len;
	qb_count(f->counters, QB_CNT_FEC_SENT);
	qb_count_add(f->counters, QB_CNT_FEC_BYTES, o->symbol_len);
	return b;
}

struct qb_buf *qb_fec_tx_next(struct qb_fec_tx *f, uint64_t *taken, uint64_t now_ns)
{
	for (uint32_t c = 0; c < QB_CLASS_CNT; c++) {
		struct qb_fec_open *o = &f->open[c];
		struct qb_buf *b;

		while (is_due(o, now_ns)) {
			*taken = busiest_path(o);
			b = take_symbol(f, o);
			if (b)
				return b;
		}
	}
	return NULL;
}

uint64_t qb_fec_tx_deadline_ns(const struct qb_fec_tx *f)
{
	uint64_t at_ns = QB_NEVER_NS;

	for (uint32_t c = 0; c < QB_CLASS_CNT; c++)
		if (f->open[c].source_cnt)
			at_ns = qb_min_u64(at_ns, f->open[c].source_cnt >= f->open[c].plan.sources
							  ? 0
							  : f->open[c].close_ns);
	return at_ns;
}

void qb_fec_tx_reason(const struct qb_fec_tx *f, char *buf, size_t len)
{
	size_t used = strlen(buf);

	if (f->is_on)
		snprintf(buf + used, len - used,
			 "; error correction, %.0f %%: a retransmission would take %.0f ms",
			 f->share * 100, (double)f->repair_ns / 1e6);
}
