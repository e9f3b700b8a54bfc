/* SPDX-License-Identifier: BSD-2-Clause */
/* quicbondd: the command line. */
#include "daemon.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static void usage(FILE *out)
{
	fprintf(out, "Usage: quicbondd [-c FILE] [--check] [--foreground] [--log-level LEVEL]\n"
		     "\n"
		     "  -c, --config FILE      config file (default /etc/quicbond/quicbond.conf)\n"
		     "      --check            check the config file and exit: 0 good, 2 bad\n"
		     "      --foreground       stay in the foreground (always so: systemd or a shell runs it)\n"
		     "      --log-level LEVEL  err, warn, info or debug, TARGET:LEVEL; wins over [Log] Level\n"
		     "  -V, --version          print the version\n"
		     "  -h, --help             print this\n");
}

static int check_config(const char *path)
{
	char err[QB_CONF_ERR_LEN];
	struct qb_conf *conf = qb_conf_load(path, qb_conf_known_names(), err);

	if (!conf) {
		fprintf(stderr, "%s\n", err);
		return 2;
	}
	qb_conf_free(conf);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},  {"check", no_argument, NULL, 'k'},
		{"foreground", no_argument, NULL, 'f'},	   {"log-level", required_argument, NULL, 'l'},
		{"version", no_argument, NULL, 'V'},	   {"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *path = "/etc/quicbond/quicbond.conf";
	struct qb_log_levels levels;
	char wrong[QB_LOG_TEXT_LEN];
	bool is_check = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "c:Vh", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			path = optarg;
			break;
		case 'k':
			is_check = true;
			break;
		case 'f':
			break;
		case 'l':
			if (qb_log_levels_parse(optarg, &levels, wrong)) {
				fprintf(stderr, "quicbondd: --log-level %s: err, warn, info, debug, or TARGET:LEVEL with %s\n",
					wrong, qb_log_targets());
				return 2;
			}
			qb_log_set(&levels);
			setenv("QUICBOND_LOG_LEVEL", optarg, 1);
			break;
		case 'V':
			puts("quicbondd " QB_VERSION);
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind != argc) {
		fprintf(stderr, "quicbondd: \"%s\" is no option; a config file is given by -c\n", argv[optind]);
		usage(stderr);
		return 2;
	}
	return is_check ? check_config(path) : qb_daemon_run(path);
}
