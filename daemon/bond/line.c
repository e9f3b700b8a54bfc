/* SPDX-License-Identifier: BSD-2-Clause */
/* A line of packets that wait to leave; kept by the bond_*.c files. */
#include "bond/line.h"

void qb_line_put(struct qb_line *l, struct qb_buf *buf, bool is_front)
{
	buf->next = is_front ? l->head : NULL;
	if (!l->head)
		l->tail = buf;
	else if (!is_front)
		l->tail->next = buf;
	if (is_front || !l->head)
		l->head = buf;
	if (!is_front)
		l->tail = buf;
	l->pkts++;
	l->bytes += buf->len;
}

struct qb_buf *qb_line_take_after(struct qb_line *l, struct qb_buf *before)
{
	struct qb_buf *buf = before ? before->next : l->head;

	if (!buf)
		return NULL;
	if (before)
		before->next = buf->next;
	else
		l->head = buf->next;
	if (l->tail == buf)
		l->tail = before;
	buf->next = NULL;
	l->refused_ns = 0;
	l->pkts--;
	l->bytes -= buf->len;
	return buf;
}

struct qb_buf *qb_line_take(struct qb_line *l)
{
	return qb_line_take_after(l, NULL);
}
