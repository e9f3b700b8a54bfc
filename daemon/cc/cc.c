/* SPDX-License-Identifier: BSD-2-Clause */
/* The registry of congestion controllers: one line an algorithm, the default first. */
#include "cc/cc.h"
#include "cc/algorithms.h"

const struct qb_cc *const qb_cc_list[] = {
	&qb_cc_auto,	&qb_cc_bbr3,	 &qb_cc_bbr2, &qb_cc_bbr1,   &qb_cc_cubic,
	&qb_cc_newreno, &qb_cc_westwood, &qb_cc_copa, &qb_cc_prague, &qb_cc_lia,
	&qb_cc_olia,	&qb_cc_balia,	 NULL,
};

const struct qb_cc *qb_cc_find(const char *name)
{
	for (const struct qb_cc *const *cc = qb_cc_list; *cc; cc++)
		if (!strcmp((*cc)->name, name))
			return *cc;
	return NULL;
}
