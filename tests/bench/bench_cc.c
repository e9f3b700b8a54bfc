/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Congestion controllers against links, in virtual time (tests/unit/cc_bench.c): a table of
 * utilisation, mean and 95th percentile of the queueing delay and loss, what auto made of each
 * link, and the same as a plot. The links are those that bonding is measured on, one by one, and
 * some that are hard in other ways. Each figure is the median of some seeds, which decide about
 * losses, jitter, phases and how a cell wanders; their least and greatest stand beside it.
 *
 *     bench_cc [-s SECONDS] [-n SEEDS] [-o FILE.svg] [-m] [CONTROLLER...]   -m: a table in Markdown
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/cc_bench.h"

#define MBIT (UINT64_C(1000000))
#define MS   CCB_MS

enum {
	CC_MAX = 16,
	SEED_MAX = 64,
	SPREAD_PCT = 3, /* less between seeds is not worth a word */
	PANEL_W = 250,
	PANEL_H = 190,
	PANELS_A_ROW = 4,
	MARGIN = 42,
	LEGEND_H = 60,
};

enum change { STEADY, WANDER, STEPS, POLICED };

struct scene {
	const char *name;
	struct ccb_link link;
	const char *rival; /* a second flow */
	enum change change;
};

/* Of one run; of several, the median of each. */
struct result {
	double util, mean_ms, p95_ms, loss;
	double util_min, util_max, mean_max_ms; /* of several */
	const char *phase, *why;
};

/* A queue of so many ms. */
#define QUEUE_MS(mbit, ms) ((uint64_t)((mbit)*125.0 * (ms)))

static const struct scene scenes[] = {
	{"300M 10ms",
	 {.rate_bps = 300 * MBIT, .rtt_ns = 10 * MS, .queue_bytes = QUEUE_MS(300, 40)},
	 NULL,
	 STEADY},
	{"80M 30ms",
	 {.rate_bps = 80 * MBIT, .rtt_ns = 30 * MS, .queue_bytes = QUEUE_MS(80, 60)},
	 NULL,
	 STEADY},
	{"100M 25ms",
	 {.rate_bps = 100 * MBIT, .rtt_ns = 25 * MS, .queue_bytes = QUEUE_MS(100, 50)},
	 NULL,
	 STEADY},
	{"fibre 300M 16ms",
	 {.rate_bps = 300 * MBIT, .rtt_ns = 16 * MS, .queue_bytes = QUEUE_MS(300, 40)},
	 NULL,
	 STEADY},
	{"LTE 30M 80ms, jitter, 0.5% loss",
	 {.rate_bps = 30 * MBIT,
	  .rtt_ns = 80 * MS,
	  .queue_bytes = QUEUE_MS(30, 200),
	  .loss = 0.005,
	  .jitter_ns = 20 * MS},
	 NULL,
	 STEADY},
	{"LTE 8M 60ms",
	 {.rate_bps = 8 * MBIT, .rtt_ns = 60 * MS, .queue_bytes = QUEUE_MS(8, 400)},
	 NULL,
	 STEADY},
	{"LTE 25M 45ms, slots",
	 {.rate_bps = 25 * MBIT,
	  .rtt_ns = 45 * MS,
	  .queue_bytes = QUEUE_MS(25, 300),
	  .ack_slot_ns = 10 * MS,
	  .data_slot_ns = 10 * MS},
	 NULL,
	 STEADY},
	{"LTE that wanders, 4-50M",
	 {.rate_bps = 20 * MBIT, .rtt_ns = 50 * MS, .queue_bytes = QUEUE_MS(20, 1000)},
	 NULL,
	 WANDER},
	{"DSL 50M 20ms",
	 {.rate_bps = 50 * MBIT, .rtt_ns = 20 * MS, .queue_bytes = QUEUE_MS(50, 80)},
	 NULL,
	 STEADY},
	{"LEO 150M, delay steps",
	 {.rate_bps = 150 * MBIT, .rtt_ns = 30 * MS, .queue_bytes = QUEUE_MS(150, 100)},
	 NULL,
	 STEPS},
	{"modem 20M with 4 s",
	 {.rate_bps = 20 * MBIT, .rtt_ns = 60 * MS, .queue_bytes = QUEUE_MS(20, 4000)},
	 NULL,
	 STEADY},
	{"100M, then policed to 1M",
	 {.rate_bps = 100 * MBIT, .rtt_ns = 25 * MS, .queue_bytes = QUEUE_MS(100, 50)},
	 NULL,
	 POLICED},
	{"20M, 50% loss",
	 {.rate_bps = 20 * MBIT, .rtt_ns = 40 * MS, .queue_bytes = QUEUE_MS(20, 200), .loss = 0.5},
	 NULL,
	 STEADY},
	{"GEO 20M 600ms",
	 {.rate_bps = 20 * MBIT, .rtt_ns = 600 * MS, .queue_bytes = QUEUE_MS(20, 500)},
	 NULL,
	 STEADY},
	{"20M 60ms, 1% loss",
	 {.rate_bps = 20 * MBIT,
	  .rtt_ns = 60 * MS,
	  .queue_bytes = QUEUE_MS(20, 1000),
	  .loss = 0.01},
	 NULL,
	 STEADY},
	{"beside CUBIC",
	 {.rate_bps = 50 * MBIT, .rtt_ns = 40 * MS, .queue_bytes = QUEUE_MS(50, 80)},
	 "cubic",
	 STEADY},
};

static const char *const colours[] = {"#d62728", "#1f77b4", "#6baed6", "#9ecae1",
				      "#ff7f0e", "#8c564b", "#bcbd22", "#2ca02c",
				      "#9467bd", "#7f7f7f", "#aaaaaa", "#cccccc"};

static uint64_t run_s = 60;
static uint32_t seed_cnt = 8;

/* Runs the measured time with what the scene changes on the way; returns the bits that the link
 * could have carried. */
static double play(struct ccb *b, const struct scene *sc, uint64_t seed)
{
	uint64_t end_ns = b->now_ns + run_s * CCB_SEC;
	double bits = 0, rate = (double)b->link.rate_bps;
	struct qb_rand r;

	qb_rand_seed(&r, seed);
	for (int i = 0; b->now_ns < end_ns; i++) {
		if (sc->change == WANDER) {
			rate = QB_MIN(QB_MAX(rate * (1 + 0.3 * (qb_rand_unit(&r) - 0.5)), 4e6),
				      50e6);
			b->link.rate_bps = (uint64_t)rate;
		}
		if (sc->change == STEPS)
			b->link.rtt_ns = sc->link.rtt_ns + (i / 150 % 2) * 50 * MS;
		if (sc->change == POLICED) { /* after the warm-up, which knew nothing of it */
			b->link.police_bps = 1 * MBIT;
			b->link.police_burst_bytes = 30000;
		}
		bits += (double)(b->link.police_bps ? b->link.police_bps : b->link.rate_bps) / 10;
		ccb_run(b, b->now_ns + 100 * MS);
	}
	return bits;
}

static struct result run_once(const char *cc, const struct scene *sc, uint64_t seed)
{
	struct result res = {0};
	struct ccb b;
	double bits;

	ccb_init(&b, &sc->link, seed);
	ccb_add(&b, cc, 0);
	if (sc->rival)
		ccb_add(&b, sc->rival, 3 * CCB_SEC);
	ccb_run(&b, 10 * CCB_SEC + 20 * sc->link.rtt_ns);
	ccb_mark(&b);
	bits = play(&b, sc, seed);
	res.util = (double)b.flow[0].stats.acked_bytes * 8 / bits;
	res.mean_ms = ccb_delay_mean_ms(&b);
	res.p95_ms = ccb_delay_pct_ms(&b, 95);
	res.loss = ccb_loss_rate(&b.flow[0]);
	res.phase = b.flow[0].view.phase;
	res.why = b.flow[0].view.why;
	ccb_fini(&b);
	return res;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts the values. */
static double median(double *v, uint32_t cnt)
{
	qsort(v, cnt, sizeof(*v), compare);
	return (v[(cnt - 1) / 2] + v[cnt / 2]) / 2;
}

static struct result measure(const char *cc, const struct scene *sc)
{
	double util[SEED_MAX], mean_ms[SEED_MAX], p95_ms[SEED_MAX], loss[SEED_MAX];
	struct result res = {0};

	for (uint32_t i = 0; i < seed_cnt; i++) {
		res = run_once(cc, sc, i + 1);
		util[i] = res.util;
		mean_ms[i] = res.mean_ms;
		p95_ms[i] = res.p95_ms;
		loss[i] = res.loss;
	}
	res.util = median(util, seed_cnt);
	res.mean_ms = median(mean_ms, seed_cnt);
	res.p95_ms = median(p95_ms, seed_cnt);
	res.loss = median(loss, seed_cnt);
	res.util_min = util[0];
	res.util_max = util[seed_cnt - 1];
	res.mean_max_ms = mean_ms[seed_cnt - 1];
	return res;
}

/* ---- the plot: a panel a link, delay (logarithmic) to the right, utilisation upwards ---- */

static double plot_x(double ms)
{
	const double lo = -1, hi = 4; /* 0.1 ms to 10 s */

	return (log10(QB_MAX(ms, 0.1)) - lo) / (hi - lo) * (PANEL_W - MARGIN - 10);
}

static void plot_panel(FILE *f, const struct scene *sc, const struct result *res, uint32_t cc_cnt,
		       int x, int y)
{
	int w = PANEL_W - MARGIN - 10, h = PANEL_H - 60;

	fprintf(f,
		"<g transform='translate(%d,%d)'><text x='0' y='-8' font-weight='bold'>%s</text>\n",
		x + MARGIN, y + 30, sc->name);
	for (int part = 0; part <= 100; part += 25)
		fprintf(f,
			"<line x1='0' x2='%d' y1='%d' y2='%d' stroke='#e4e4e4'/>"
			"<text x='-6' y='%d' text-anchor='end'>%d</text>\n",
			w, h - h * part / 100, h - h * part / 100, h - h * part / 100 + 4, part);
	for (int e = 0; e <= 4; e += 2)
		fprintf(f,
			"<line x1='%.0f' x2='%.0f' y1='0' y2='%d' stroke='#e4e4e4'/>"
			"<text x='%.0f' y='%d' text-anchor='middle'>%g ms</text>\n",
			plot_x(pow(10, e)), plot_x(pow(10, e)), h, plot_x(pow(10, e)), h + 15,
			pow(10, e));
	for (uint32_t i = 0; i < cc_cnt; i++) {
		double py = h - h * QB_MIN(res[i].util, 1.0);

		fprintf(f, "<line x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f' stroke='%s'/>",
			plot_x(res[i].mean_ms), plot_x(res[i].p95_ms), py, py,
			colours[i % QB_ARRAY_LEN(colours)]);
		fprintf(f, "<line x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f' stroke='%s'/>",
			plot_x(res[i].mean_ms), plot_x(res[i].mean_ms),
			h - h * QB_MIN(res[i].util_min, 1.0), h - h * QB_MIN(res[i].util_max, 1.0),
			colours[i % QB_ARRAY_LEN(colours)]);
		fprintf(f, "<circle cx='%.1f' cy='%.1f' r='4' fill='%s'/>\n",
			plot_x(res[i].mean_ms), py, colours[i % QB_ARRAY_LEN(colours)]);
	}
	fputs("</g>\n", f);
}

static int plot(const char *path, const char *const cc[], uint32_t cc_cnt,
		struct result res[][CC_MAX])
{
	int rows = ((int)QB_ARRAY_LEN(scenes) + PANELS_A_ROW - 1) / PANELS_A_ROW;
	FILE *f = fopen(path, "w");

	if (!f) {
		perror(path);
		return EXIT_FAILURE;
	}
	fprintf(f,
		"<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' "
		"font-family='sans-serif' font-size='11'>\n"
		"<rect width='100%%' height='100%%' fill='white'/>\n"
		"<text x='10' y='20' font-size='13'>Part of the link in %% over queueing delay: "
		"mean (dot) to 95th percentile"
		" (end of the line), %u seeds: median, least and most. Up and left is better."
		"</text>\n",
		PANELS_A_ROW * PANEL_W + 20, rows * PANEL_H + LEGEND_H, seed_cnt);
	for (uint32_t i = 0; i < cc_cnt; i++)
		fprintf(f,
			"<circle cx='%u' cy='38' r='5' fill='%s'/><text x='%u' y='42'>%s</text>\n",
			16 + i * 80, colours[i % QB_ARRAY_LEN(colours)], 25 + i * 80, cc[i]);
	for (uint32_t s = 0; s < QB_ARRAY_LEN(scenes); s++)
		plot_panel(f, &scenes[s], res[s], cc_cnt, (int)(s % PANELS_A_ROW) * PANEL_W,
			   LEGEND_H + (int)(s / PANELS_A_ROW) * PANEL_H);
	fputs("</svg>\n", f);
	return fclose(f) ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- the table ---- */

static void print_scene(const struct scene *sc, const char *const cc[], uint32_t cc_cnt,
			struct result *res)
{
	printf("%s\n", sc->name);
	for (uint32_t i = 0; i < cc_cnt; i++) {
		res[i] = measure(cc[i], sc);
		printf("    %-10s %6.1f %% (%5.1f to %5.1f)   queue %8.2f ms (to %8.2f)   95th "
		       "%8.1f ms   "
		       "loss %6.2f %%\n",
		       cc[i], 100 * res[i].util, 100 * res[i].util_min, 100 * res[i].util_max,
		       res[i].mean_ms, res[i].mean_max_ms, res[i].p95_ms, 100 * res[i].loss);
	}
	for (uint32_t i = 0; i < cc_cnt; i++)
		if (res[i].why)
			printf("    %s: %s; %s\n", cc[i], res[i].phase, res[i].why);
	fflush(stdout);
}

static void print_cell(const struct result *r)
{
	bool is_spread = lround(100 * r->util_max) - lround(100 * r->util_min) > SPREAD_PCT;

	printf(" %.0f %%", 100 * r->util);
	if (is_spread)
		printf(" (%.0f–%.0f)", 100 * r->util_min, 100 * r->util_max);
	printf(r->mean_ms < 9.95 ? ", %.1f ms |" : ", %.0f ms |", r->mean_ms);
}

/* A row a link, a column a controller: part of the link in %, where the seeds differ with their
 * least and most, and mean queueing delay in ms. */
static void print_markdown(const char *const cc[], uint32_t cc_cnt, struct result res[][CC_MAX])
{
	printf("\n| link |");
	for (uint32_t i = 0; i < cc_cnt; i++)
		printf(" %s |", cc[i]);
	printf(" auto says |\n| --- |");
	for (uint32_t i = 0; i <= cc_cnt; i++)
		printf(" --- |");
	for (uint32_t s = 0; s < QB_ARRAY_LEN(scenes); s++) {
		printf("\n| %s |", scenes[s].name);
		for (uint32_t i = 0; i < cc_cnt; i++)
			print_cell(&res[s][i]);
		printf(" %s |", res[s][0].why ? res[s][0].why : "");
	}
	puts("");
}

static bool is_coupling(const char *name)
{
	return !strcmp(name, "lia") || !strcmp(name, "olia") || !strcmp(name, "balia");
}

int main(int argc, char **argv)
{
	static struct result res[QB_ARRAY_LEN(scenes)][CC_MAX];
	const char *cc[CC_MAX], *svg = NULL;
	uint32_t cc_cnt = 0;
	bool is_markdown = false;
	int opt;

	while ((opt = getopt(argc, argv, "s:n:o:m")) != -1) {
		if (opt == 's') {
			run_s = strtoull(optarg, NULL, 10);
		} else if (opt == 'n') {
			seed_cnt = (uint32_t)QB_MIN(QB_MAX(strtoul(optarg, NULL, 10), 1UL),
						    (unsigned long)SEED_MAX);
		} else if (opt == 'o') {
			svg = optarg;
		} else if (opt == 'm') {
			is_markdown = true;
		} else {
			fprintf(stderr,
				"usage: %s [-s SECONDS] [-n SEEDS] [-o FILE.svg] [-m] "
				"[CONTROLLER...]\n",
				argv[0]);
			return EXIT_FAILURE;
		}
	}
	for (; optind < argc && cc_cnt < CC_MAX; optind++) {
		if (!qb_cc_find(argv[optind])) {
			fprintf(stderr, "no controller of that name: %s\n", argv[optind]);
			return EXIT_FAILURE;
		}
		cc[cc_cnt++] = argv[optind];
	}
	/* A coupling alone is newreno. */
	for (uint32_t i = 0, all = !cc_cnt; all && qb_cc_list[i] && cc_cnt < CC_MAX; i++)
		if (!is_coupling(qb_cc_list[i]->name))
			cc[cc_cnt++] = qb_cc_list[i]->name;
	for (uint32_t s = 0; s < QB_ARRAY_LEN(scenes); s++)
		print_scene(&scenes[s], cc, cc_cnt, res[s]);
	if (is_markdown)
		print_markdown(cc, cc_cnt, res);
	return svg ? plot(svg, cc, cc_cnt, res) : EXIT_SUCCESS;
}
