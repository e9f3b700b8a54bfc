/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quicbond-netem: an emulated link between two network interfaces, or in front of a UDP service,
 * for tests and demonstrations on kernels without a netem queueing discipline, and repeatable by
 * its seed.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/os.h"
#include "tools/netem_host.h"

enum { EXIT_FAULT = 1, EXIT_USAGE = 2, CAP_DEFAULT = 131072, CAP_MAX = 1 << 22, LINE_BYTES = 2000 };

struct opts {
	const char *bridge;
	const char *listen, *upstream;
	const char *control, *script;
	uint64_t seed;
	uint32_t cap;
	bool is_offload_off;
};

static void usage(FILE *to)
{
	fputs("usage: quicbond-netem --bridge IFA,IFB [OPTION]... [SETTING]...\n"
	      "       quicbond-netem --listen ADDR:PORT --upstream ADDR:PORT [OPTION]... "
	      "[SETTING]...\n"
	      "       quicbond-netem set SOCKET SETTING...\n"
	      "       quicbond-netem stats SOCKET\n"
	      "       quicbond-netem quit SOCKET\n"
	      "       quicbond-netem offload INTERFACE on|off\n\n"
	      "Options:\n"
	      "  --control PATH    listen on a UNIX socket for set, stats and quit\n"
	      "  --script TEXT     changes by time: \"10s down=1; 12s ab.loss=5 down=0\"\n"
	      "  --seed N          of all random decisions (1)\n"
	      "  --offload-off     bridge: first switch both interfaces' offloads off\n"
	      "  --capacity N      packets a direction can hold (131072)\n"
	      "  -h, --help        this text\n\n"
	      "A setting is [DIRECTION.]PARAMETER=VALUE. Directions: ab (or up: from IFA, from "
	      "clients), ba (or\n"
	      "down), both (the default). Parameters:\n",
	      to);
	for (const struct qb_netem_key *k = qb_netem_keys; k->name; k++)
		fprintf(to, "  %-14s %-8s %s\n", k->name, k->value, k->help);
}

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "quicbond-netem: %s%s%s\n", what, why ? ": " : "", why ? why : "");
	return EXIT_FAULT;
}

static int misuse(const char *what)
{
	fprintf(stderr, "quicbond-netem: %s (--help says how)\n", what);
	return EXIT_USAGE;
}

/* join puts words into one line. Returns false when they are too long. */
static bool join(char *const *words, const char *prefix, char line[LINE_BYTES])
{
	size_t len = (size_t)snprintf(line, LINE_BYTES, "%s", prefix);

	for (; *words; words++) {
		len += (size_t)snprintf(line + len, LINE_BYTES - len, " %s", *words);
		if (len >= LINE_BYTES)
			return false;
	}
	return strpbrk(line, "\r\n") == NULL;
}

/* ---- commands to a running one ---- */

static int run_ask(const char *verb, char **args)
{
	char line[LINE_BYTES], answer[QB_NETEM_ANSWER_LEN], err[QB_NETEM_ERR_LEN];

	if (!args[0])
		return misuse("which socket?");
	if (strcmp(verb, "set") == 0 ? !args[1] : !!args[1])
		return misuse(args[1] ? "too many words" : "set what?");
	if (!join(args + 1, verb, line))
		return misuse("too long");
	if (qb_netem_control_ask(args[0], line, answer, err))
		return fail(err, NULL);
	if (strcmp(answer, "ok"))
		puts(answer);
	return 0;
}

static int run_offload(char **args)
{
	bool is_on;
	int ret;

	if (!args[0] || !args[1] || args[2] || (strcmp(args[1], "on") && strcmp(args[1], "off")))
		return misuse("offload INTERFACE on|off");
	is_on = strcmp(args[1], "on") == 0;
	ret = qb_netem_offload_set(args[0], is_on);
	return ret ? fail(args[0], strerror(-ret)) : 0;
}

/* ---- a link ---- */

static struct qb_netem_host host;

static uint32_t on_signal(struct qb_netem_source *s, uint64_t now_ns)
{
	(void)now_ns;
	for (int sig; (sig = qb_signals_read(s->fd)) > 0;)
		if (sig != SIGHUP)
			host.is_stopping = true;
	return 0;
}

static int open_backend(const struct opts *o, char err[QB_NETEM_ERR_LEN])
{
	char ifs[64], *comma;

	if (!o->bridge)
		return qb_netem_proxy_open(&host, o->listen, o->upstream, o->cap, o->seed, err);
	snprintf(ifs, sizeof(ifs), "%s", o->bridge);
	comma = strchr(ifs, ',');
	if (!comma) {
		snprintf(err, QB_NETEM_ERR_LEN, "--bridge takes two interfaces: IFA,IFB");
		return -EINVAL;
	}
	*comma = '\0';
	for (const char *name = ifs; name && o->is_offload_off;
	     name = name == ifs ? comma + 1 : NULL) {
		int ret = qb_netem_offload_set(name, false);

		if (ret) {
			snprintf(err, QB_NETEM_ERR_LEN, "%.20s: %s", name, strerror(-ret));
			return ret;
		}
	}
	return qb_netem_bridge_open(&host, ifs, comma + 1, o->cap, o->seed, err);
}

static void close_backend(const struct opts *o)
{
	if (o->bridge)
		qb_netem_bridge_close(&host);
	else
		qb_netem_proxy_close(&host);
}

static int serve(const struct opts *o, const char *settings)
{
	struct qb_netem_source stop = {qb_signals_open(), on_signal};
	struct qb_netem_control *control = NULL;
	char err[QB_NETEM_ERR_LEN] = "";
	int ret = stop.fd;

	if (ret < 0)
		return fail("signals", strerror(-ret));
	ret = open_backend(o, err);
	if (ret)
		return fail(err, NULL);
	ret = qb_netem_link_set(&host.link, settings, qb_now_ns(), err);
	if (!ret && o->script)
		ret = qb_netem_link_script(&host.link, o->script, err);
	if (!ret)
		ret = qb_netem_host_watch(&host, &stop);
	if (!ret && o->control) {
		ret = qb_netem_control_open(&host, o->control, &control);
		if (ret)
			snprintf(err, sizeof(err), "%.90s: %s", o->control, strerror(-ret));
	}
	if (!ret)
		qb_netem_host_run(&host);
	else
		fail(err[0] ? err : strerror(-ret), NULL);
	qb_netem_control_close(control);
	close_backend(o);
	qb_signals_close(stop.fd);
	return ret == 0 ? 0 : ret == -EINVAL ? EXIT_USAGE : EXIT_FAULT;
}

static bool parse_count(const char *text, uint64_t max, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *out <= max;
}

static int parse_opts(int argc, char **argv, struct opts *o)
{
	static const struct option longs[] = {
		{"bridge", required_argument, NULL, 'b'},
		{"listen", required_argument, NULL, 'l'},
		{"upstream", required_argument, NULL, 'u'},
		{"control", required_argument, NULL, 'c'},
		{"script", required_argument, NULL, 's'},
		{"seed", required_argument, NULL, 'S'},
		{"capacity", required_argument, NULL, 'C'},
		{"offload-off", no_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char **texts[] = {['b'] = &o->bridge,
				['l'] = &o->listen,
				['u'] = &o->upstream,
				['c'] = &o->control,
				['s'] = &o->script};
	uint64_t cap = CAP_DEFAULT;
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'h') {
			usage(stdout);
			exit(0);
		} else if (c == 'S') {
			if (!parse_count(optarg, UINT64_MAX, &o->seed))
				return misuse("--seed takes a number");
		} else if (c == 'C') {
			if (!parse_count(optarg, CAP_MAX, &cap) || cap == 0)
				return misuse("--capacity takes a number up to 4194304");
		} else if (c == 'o') {
			o->is_offload_off = true;
		} else if (c == '?') {
			return EXIT_USAGE;
		} else {
			*texts[c] = optarg;
		}
	}
	o->cap = (uint32_t)cap;
	if (!o->bridge != (o->listen && o->upstream) || (o->bridge && (o->listen || o->upstream)))
		return misuse("either --bridge, or --listen and --upstream");
	return 0;
}

int main(int argc, char **argv)
{
	struct opts o = {.seed = 1};
	char settings[LINE_BYTES];
	int ret;

	if (argc > 1 && strcmp(argv[1], "offload") == 0)
		return run_offload(argv + 2);
	if (argc > 1 &&
	    (!strcmp(argv[1], "set") || !strcmp(argv[1], "stats") || !strcmp(argv[1], "quit")))
		return run_ask(argv[1], argv + 2);
	ret = parse_opts(argc, argv, &o);
	if (ret)
		return ret;
	if (!join(argv + optind, "", settings))
		return misuse("too many settings");
	return serve(&o, settings);
}
