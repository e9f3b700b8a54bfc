/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The metrics endpoint as the config has it: opened at the start, while privileged ports may be
 * had, and changed on reload. Main thread.
 */
#include "daemon.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>

int qb_scrape_open(struct qb_daemon *d, const struct qb_conf *c, const struct qb_ctl_verbs *verbs,
		   struct qb_metrics **out, char err[QB_ERR_LEN])
{
	struct epoll_event ev = {.events = EPOLLIN};
	int ret;

	*out = d->metrics;
	if ((d->metrics || !c->metrics.listen.family) &&
	    qb_addr_eq(&c->metrics.listen, &d->conf->metrics.listen))
		return 0;
	*out = NULL;
	if (!c->metrics.listen.family)
		return 0;
	ret = qb_metrics_open(&c->metrics.listen, verbs, d, out, err);
	if (ret)
		return ret;
	ev.data.fd = qb_metrics_fd(*out);
	if (ev.data.fd >= 0 && epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, ev.data.fd, &ev) == 0)
		return 0;
	snprintf(err, QB_ERR_LEN, "[Metrics] Listen: it cannot be waited for");
	qb_scrape_drop(d, *out);
	*out = NULL;
	return -EIO;
}

void qb_scrape_take(struct qb_daemon *d, struct qb_metrics *m)
{
	char text[QB_ADDR_STRLEN];

	if (m == d->metrics)
		return;
	qb_metrics_close(d->metrics); /* its descriptor leaves the epoll set by itself */
	d->metrics = m;
	if (m)
		qb_info("metrics at http://%s/metrics",
			qb_addr_format(&d->conf->metrics.listen, text));
}

void qb_scrape_drop(struct qb_daemon *d, struct qb_metrics *m)
{
	if (m != d->metrics)
		qb_metrics_close(m);
}
