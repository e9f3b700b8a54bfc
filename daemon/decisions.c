/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The last decisions of schedulers for the control socket: each worker copies those of its tunnels
 * on its own thread, the newest of all are kept. Main thread.
 */
#include "daemon.h"

#include <stdio.h>

struct search {
	const struct qb_daemon *d;
	struct qb_sched_status *out;
};

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static void fill(const struct search *s, const struct qb_tunnel *t,
		 const struct qb_bond_decision *d, struct qb_decision_status *out)
{
	static char links[QB_BOND_PATHS_MAX][QB_STATUS_NAME_LEN];
	const char *names[QB_BOND_PATHS_MAX];

	if (s->d->conf->role == QB_ROLE_HUB && t->site < s->d->conf->site_cnt)
		snprintf(out->site, sizeof(out->site), "%s", s->d->sites[t->site].conf->name);
	snprintf(out->scheduler, sizeof(out->scheduler), "%s", d->sched);
	out->flow = d->flow;
	out->bytes = d->bytes;
	out->kind = d->is_sparse ? "sparse" : "bulk";
	for (uint8_t i = 0; i < QB_BOND_PATHS_MAX; i++) {
		snprintf(links[i], sizeof(links[i]), "path%u", i); /* gone by now */
		if (t->paths[i].is_used)
			qb_flows_name_path(s->d, t, i, links[i], sizeof(links[i]));
		names[i] = links[i];
		if (d->choices[i].state == QB_CHOICE_OFF)
			continue;
		snprintf(out->choices[out->choice_cnt].link, sizeof(out->choices[0].link), "%s",
			 links[i]);
		out->choices[out->choice_cnt].state =
			qb_choice_state_name((enum qb_choice_state)d->choices[i].state);
		out->choices[out->choice_cnt].delay_ms = ms(d->choices[i].delay_ns);
		out->choices[out->choice_cnt++].wait_ms = ms(d->choices[i].wait_ns);
	}
	if (d->path >= 0)
		snprintf(out->link, sizeof(out->link), "%s", links[d->path]);
	qb_bond_explain(d, names, out->reason, sizeof(out->reason));
}

/* place finds room for a decision, the newest first. NULL: there are newer ones enough. */
static struct qb_decision_status *place(struct qb_sched_status *out, double age_s)
{
	uint32_t at = out->cnt;

	while (at > 0 && out->d[at - 1].age_s > age_s)
		at--;
	if (at == QB_STATUS_DECISIONS_MAX)
		return NULL;
	out->cnt = QB_MIN(out->cnt + 1, (uint32_t)QB_STATUS_DECISIONS_MAX);
	memmove(&out->d[at + 1], &out->d[at], (out->cnt - at - 1) * sizeof(out->d[0]));
	out->d[at] = (struct qb_decision_status){.age_s = age_s};
	return &out->d[at];
}

static void collect(struct qb_worker *w, void *arg)
{
	struct search *s = arg;
	uint64_t now_ns = qb_now_ns();

	for (struct qb_tunnel *t = w->node->tunnels; t; t = t->next) {
		const struct qb_bond_decision *d;

		for (uint32_t i = 0; (d = qb_bond_decision(t->bond, i)); i++) {
			struct qb_decision_status *out =
				place(s->out, (double)qb_sub_sat_u64(now_ns, d->at_ns) / 1e9);

			if (!out)
				break;
			fill(s, t, d, out);
		}
	}
}

int qb_decisions_fill(void *arg, struct qb_sched_status *out, char *err)
{
	struct search s = {.d = arg, .out = out};

	(void)err;
	snprintf(out->scheduler, sizeof(out->scheduler), "%s", qb_settings_scheduler(s.d));
	while (out->name_cnt < QB_STATUS_SCHEDS_MAX && qb_sched_list[out->name_cnt]) {
		out->names[out->name_cnt] = qb_sched_list[out->name_cnt]->name;
		out->name_cnt++;
	}
	while (out->form_cnt + 1 < QB_STATUS_SCHEDS_MAX && qb_sched_forms[out->form_cnt]) {
		out->forms[out->form_cnt] = qb_sched_forms[out->form_cnt];
		out->form_cnt++;
	}
	out->forms[out->form_cnt++] = "bpf:/FILE.o";
	for (uint16_t w = 0; w < s.d->worker_cnt; w++)
		qb_worker_call(&s.d->workers[w], collect, &s);
	return 0;
}
