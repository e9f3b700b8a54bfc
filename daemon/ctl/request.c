/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control protocol's verbs as one table. ctl.c hands in a line from a client; what comes out is
 * the answer's object. The daemon's side of each verb is struct qb_ctl_verbs.
 */
#include "ctl/request.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "ctl/json.h"

enum { BLOCKS_MAX = 16384 };

struct verb {
	const char *cmd;
	json_t *(*answer)(struct qb_ctl_request *r, const json_t *req);
};

json_t *qb_ctl_error(const char *text)
{
	return json_pack("{s:i, s:o}", "schema", QB_CTL_SCHEMA, "error", qb_json_text(text));
}

static json_t *QB_PRINTF(1, 2) errorf(const char *fmt, ...)
{
	char text[QB_CTL_ERR_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return qb_ctl_error(text);
}

static json_t *ok(void)
{
	return json_pack("{s:i, s:b}", "schema", QB_CTL_SCHEMA, "ok", 1);
}

/* result turns what the daemon's verb said into an answer. */
static json_t *result(int rc, const char *err)
{
	if (rc == 0)
		return ok();
	return qb_ctl_error(err[0] ? err : strerror(-rc));
}

/* need fetches a string of the request; *missing gets the answer when it is not there. */
static const char *need(const json_t *req, const char *name, json_t **missing)
{
	const char *text = json_string_value(json_object_get(req, name));

	if (!text && !*missing)
		*missing = errorf("%s needs \"%s\", a string",
				  json_string_value(json_object_get(req, "cmd")), name);
	return text;
}

/* A client's words on their way into the log: no line may be forged there. */
struct shown {
	char text[65];
};

static struct shown shown(const char *text)
{
	struct shown s;
	size_t n = 0;

	for (; text[n] && n < sizeof(s.text) - 1; n++)
		s.text[n] = text[n] > ' ' && text[n] < 0x7f ? text[n] : '?';
	s.text[n] = '\0';
	return s;
}

/* ---- what is shown ---- */

/* show takes a snapshot and puts part(snapshot) under name; name NULL: the part is the whole
 * answer. */
static json_t *show(struct qb_ctl_request *r, const char *name,
		    json_t *(*part)(const struct qb_status *st))
{
	struct qb_status snapshot = {0};
	char err[QB_CTL_ERR_LEN] = "";
	json_t *j;
	int rc;

	if (!r->verbs->status)
		return qb_ctl_error("this daemon has no status");
	rc = r->verbs->status(r->arg, &snapshot, err);
	if (rc)
		return result(rc, err);
	j = part(&snapshot);
	if (r->verbs->status_done)
		r->verbs->status_done(r->arg, &snapshot);
	if (!j || !name)
		return j;
	return json_pack("{s:i, s:o}", "schema", QB_CTL_SCHEMA, name, j);
}

static json_t *cmd_status(struct qb_ctl_request *r, const json_t *req)
{
	(void)req;
	return show(r, NULL, qb_json_status);
}

static json_t *cmd_links(struct qb_ctl_request *r, const json_t *req)
{
	(void)req;
	return show(r, "links", qb_json_links);
}

static json_t *cmd_sites(struct qb_ctl_request *r, const json_t *req)
{
	(void)req;
	return show(r, "sites", qb_json_sites);
}

static json_t *cmd_counters(struct qb_ctl_request *r, const json_t *req)
{
	(void)req;
	return show(r, "counters", qb_json_counters);
}

static json_t *cmd_io(struct qb_ctl_request *r, const json_t *req)
{
	struct qb_io_status *st = calloc(1, sizeof(*st));
	char err[QB_CTL_ERR_LEN] = "";
	json_t *j;
	int rc = -ENOMEM;

	(void)req;
	if (!r->verbs->io) {
		free(st);
		return qb_ctl_error("this daemon has no packet I/O to show");
	}
	if (st)
		rc = r->verbs->io(r->arg, st, err);
	j = rc ? result(rc, err) : qb_json_io(st);
	free(st);
	return j;
}

static json_t *cmd_flows(struct qb_ctl_request *r, const json_t *req)
{
	struct qb_flows *f;
	char err[QB_CTL_ERR_LEN] = "";
	int rc = -ENOMEM;
	json_t *j;

	(void)req;
	if (!r->verbs->flows)
		return qb_ctl_error("this daemon has no flows to show");
	f = calloc(1, sizeof(*f));
	if (f)
		rc = r->verbs->flows(r->arg, f, err);
	j = rc ? result(rc, err) : qb_json_flows(f);
	free(f);
	return j;
}

static json_t *cmd_sched(struct qb_ctl_request *r, const json_t *req)
{
	struct qb_sched_status *s;
	char err[QB_CTL_ERR_LEN] = "";
	int rc = -ENOMEM;
	json_t *j;

	(void)req;
	if (!r->verbs->sched)
		return qb_ctl_error("this daemon has no schedulers to show");
	s = calloc(1, sizeof(*s));
	if (s)
		rc = r->verbs->sched(r->arg, s, err);
	j = rc ? result(rc, err) : qb_json_sched(s);
	free(s);
	return j;
}

static json_t *cmd_tun(struct qb_ctl_request *r, const json_t *req)
{
	struct qb_tun_status *t;
	char err[QB_CTL_ERR_LEN] = "";
	int rc = -ENOMEM;
	json_t *j;

	(void)req;
	if (!r->verbs->tun)
		return qb_ctl_error("this daemon has no TUN device to show");
	t = calloc(1, sizeof(*t));
	if (t)
		rc = r->verbs->tun(r->arg, t, err);
	j = rc ? result(rc, err) : qb_json_tun(t);
	free(t);
	return j;
}

static json_t *cmd_doctor(struct qb_ctl_request *r, const json_t *req)
{
	struct qb_findings f = {0};
	char err[QB_CTL_ERR_LEN] = "";
	int rc;

	(void)req;
	if (!r->verbs->doctor)
		return qb_ctl_error("this daemon has no doctor");
	rc = r->verbs->doctor(r->arg, &f, err);
	return rc ? result(rc, err) : qb_json_findings(&f);
}

static json_t *cmd_monitor(struct qb_ctl_request *r, const json_t *req)
{
	(void)req;
	r->is_monitor = true;
	return ok();
}

/* ---- what is changed ---- */

static json_t *cmd_reload(struct qb_ctl_request *r, const json_t *req)
{
	char err[QB_CTL_ERR_LEN] = "";

	(void)req;
	if (!r->verbs->reload)
		return qb_ctl_error("this daemon cannot reload");
	qb_info("control: uid %u asks to reload", (unsigned int)r->uid);
	return result(r->verbs->reload(r->arg, err), err);
}

static json_t *cmd_link(struct qb_ctl_request *r, const json_t *req)
{
	json_t *missing = NULL;
	const char *name = need(req, "name", &missing), *verb = need(req, "verb", &missing);
	char err[QB_CTL_ERR_LEN] = "";

	if (missing)
		return missing;
	if (strcmp(verb, "up") != 0 && strcmp(verb, "down") != 0 && strcmp(verb, "drain") != 0 &&
	    strncmp(verb, "tier=", 5) != 0)
		return errorf("a link cannot \"%.32s\"; allowed: up, down, drain, tier=T", verb);
	if (!r->verbs->link)
		return qb_ctl_error("this daemon has no links to change");
	qb_info("control: uid %u sets link %s %s", (unsigned int)r->uid, shown(name).text,
		shown(verb).text);
	return result(r->verbs->link(r->arg, name, verb, err), err);
}

static json_t *cmd_set(struct qb_ctl_request *r, const json_t *req)
{
	json_t *missing = NULL;
	const char *key = need(req, "key", &missing), *value = need(req, "value", &missing);
	char err[QB_CTL_ERR_LEN] = "";

	if (missing)
		return missing;
	if (!r->verbs->set)
		return qb_ctl_error("this daemon has nothing to set");
	qb_info("control: uid %u sets %s to %s", (unsigned int)r->uid, shown(key).text,
		shown(value).text);
	return result(r->verbs->set(r->arg, key, value, err), err);
}

static json_t *cmd_failover(struct qb_ctl_request *r, const json_t *req)
{
	json_t *missing = NULL;
	const char *verb = need(req, "verb", &missing);
	char err[QB_CTL_ERR_LEN] = "";

	if (missing)
		return missing;
	if (strcmp(verb, "now") != 0 && strcmp(verb, "back") != 0)
		return errorf("failover cannot \"%.32s\"; allowed: now, back", verb);
	if (!r->verbs->failover)
		return qb_ctl_error("this daemon has no links to change");
	qb_info("control: uid %u: failover %s", (unsigned int)r->uid, verb);
	return result(r->verbs->failover(r->arg, verb, err), err);
}

static json_t *block_json(const struct qb_ctl_block *b)
{
	char text[QB_PREFIX_STRLEN];

	return json_pack("{s:o, s:b, s:b, s:o}", "prefix", qb_json_text(qb_prefix_format(&b->prefix, text)), "file", b->by_file,
			 "command", b->by_command, "left_s", b->left_s > 0 ? json_real(round(b->left_s)) : json_null());
}

static json_t *list_blocks(struct qb_ctl_request *r)
{
	struct qb_ctl_block *list = calloc(BLOCKS_MAX, sizeof(*list));
	char text[QB_PREFIX_STRLEN], err[QB_CTL_ERR_LEN] = "";
	uint32_t cnt = BLOCKS_MAX;
	json_t *names = json_array(), *entries = json_array();
	int rc = -ENOMEM;

	if (list && names && entries)
		rc = r->verbs->blocks(r->arg, list, &cnt, err);
	for (uint32_t i = 0; rc == 0 && i < cnt; i++) {
		json_array_append_new(names, qb_json_text(qb_prefix_format(&list[i].prefix, text)));
		json_array_append_new(entries, block_json(&list[i]));
	}
	free(list);
	if (rc == 0)
		return json_pack("{s:i, s:o, s:o}", "schema", QB_CTL_SCHEMA, "blocks", names, "entries", entries);
	json_decref(names);
	json_decref(entries);
	return result(rc, err);
}

static json_t *cmd_block(struct qb_ctl_request *r, const json_t *req)
{
	json_t *missing = NULL;
	const char *verb = need(req, "verb", &missing), *prefix;
	const char *life = json_string_value(json_object_get(req, "for"));
	char err[QB_CTL_ERR_LEN] = "";

	if (missing)
		return missing;
	if (!r->verbs->block || !r->verbs->blocks)
		return qb_ctl_error("this daemon has no block list");
	if (strcmp(verb, "list") == 0)
		return list_blocks(r);
	if (strcmp(verb, "add") != 0 && strcmp(verb, "del") != 0)
		return errorf("block cannot \"%.32s\"; allowed: add, del, list", verb);
	prefix = need(req, "prefix", &missing);
	if (missing)
		return missing;
	if (life && strcmp(verb, "add") != 0)
		return errorf("only what is added can end by itself");
	qb_info("control: uid %u: block %s %s", (unsigned int)r->uid, verb, shown(prefix).text);
	return result(r->verbs->block(r->arg, verb, prefix, life, err), err);
}

static json_t *cmd_qlog(struct qb_ctl_request *r, const json_t *req)
{
	json_t *missing = NULL;
	const char *verb = need(req, "verb", &missing);
	const char *folder = json_string_value(json_object_get(req, "folder"));
	const char *site = json_string_value(json_object_get(req, "site"));
	struct qb_ctl_qlog q = {0};
	char err[QB_CTL_ERR_LEN] = "";
	int rc;

	if (missing)
		return missing;
	if (strcmp(verb, "start") != 0 && strcmp(verb, "stop") != 0 && strcmp(verb, "status") != 0)
		return errorf("qlog cannot \"%.32s\"; allowed: start, stop, status", verb);
	if (!r->verbs->qlog)
		return qb_ctl_error("this daemon cannot trace");
	if (strcmp(verb, "status") != 0)
		qb_info("control: uid %u: qlog %s %s", (unsigned int)r->uid, verb,
			shown(folder ? folder : "").text);
	rc = r->verbs->qlog(r->arg, verb, folder, site, &q, err);
	if (rc)
		return result(rc, err);
	return json_pack("{s:i, s:{s:b, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I}}", "schema",
			 QB_CTL_SCHEMA, "qlog", "on", q.is_on, "folder", qb_json_text(q.folder),
			 "site", qb_json_text(q.site), "problem", qb_json_text(q.problem),
			 "key_log", qb_json_text(q.key_log), "connections", (json_int_t)q.traces,
			 "events", (json_int_t)q.events, "bytes", (json_int_t)q.bytes, "dropped",
			 (json_int_t)q.dropped);
}

static json_t *error_json(const struct qb_ctl_error *e)
{
	return json_pack("{s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "time",
			 json_real(round(e->time_s * 1e3) / 1e3), "count", (json_int_t)e->cnt,
			 "name", qb_json_text(e->name), "peer", qb_json_text(e->peer), "cid",
			 qb_json_text(e->cid), "path",
			 e->has_path ? json_integer(e->path_id) : json_null(), "error",
			 qb_json_text(e->error), "text", qb_json_text(e->text));
}

static json_t *cmd_errors(struct qb_ctl_request *r, const json_t *req)
{
	struct qb_ctl_error *list;
	json_t *out = json_array();
	uint32_t cnt = QB_CTL_ERRORS;
	char err[QB_CTL_ERR_LEN] = "";
	int rc = -ENOMEM;

	(void)req;
	if (!r->verbs->errors) {
		json_decref(out);
		return qb_ctl_error("this daemon keeps no errors");
	}
	list = calloc(QB_CTL_ERRORS, sizeof(*list));
	if (list)
		rc = r->verbs->errors(r->arg, list, &cnt, err);
	for (uint32_t i = 0; rc == 0 && i < cnt; i++)
		json_array_append_new(out, error_json(&list[i]));
	free(list);
	if (rc == 0)
		return json_pack("{s:i, s:o}", "schema", QB_CTL_SCHEMA, "errors", out);
	json_decref(out);
	return result(rc, err);
}

static json_t *conn_json(const struct qb_ctl_conn *c)
{
	json_t *o = json_pack("{s:o, s:s, s:s, s:i, s:o, s:o, s:i, s:s}", "name", qb_json_text(c->name), "use", c->use,
			      "state", c->state, "worker", (int)c->worker, "peer", qb_json_text(c->peer), "cid",
			      qb_json_text(c->cid), "version", (int)c->version, "cipher", c->cipher);
	json_t *rest = json_pack("{s:b, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "resumed",
				 c->is_resumed, "early", c->is_early, "multipath", c->is_multipath, "paths",
				 (json_int_t)c->paths, "streams", (json_int_t)c->streams, "datagram_max",
				 (json_int_t)c->datagram_bytes, "credit", (json_int_t)c->credit_bytes, "window",
				 (json_int_t)c->window_bytes, "key_updates", (json_int_t)c->key_updates, "tx_bytes",
				 (json_int_t)c->tx_bytes, "rx_bytes", (json_int_t)c->rx_bytes, "age_s",
				 json_real(round(c->age_s * 1e3) / 1e3), "silent_s",
				 json_real(round(c->silent_s * 1e3) / 1e3));

	if (o && rest)
		json_object_update(o, rest);
	json_decref(rest);
	return o;
}

static json_t *cmd_conns(struct qb_ctl_request *r, const json_t *req)
{
	struct qb_ctl_conns *conns = NULL;
	char err[QB_CTL_ERR_LEN] = "";
	json_t *out = NULL;
	int rc = -ENOMEM;

	(void)req;
	if (!r->verbs->conns)
		return qb_ctl_error("this daemon does not show its connections");
	conns = calloc(1, sizeof(*conns));
	if (conns)
		rc = r->verbs->conns(r->arg, conns, err);
	if (rc == 0)
		out = json_array();
	for (uint32_t i = 0; out && i < conns->total && i < QB_CTL_CONNS; i++)
		json_array_append_new(out, conn_json(&conns->list[i]));
	if (out)
		out = json_pack("{s:i, s:I, s:o}", "schema", QB_CTL_SCHEMA, "total", (json_int_t)conns->total,
				"connections", out);
	free(conns);
	return rc ? result(rc, err) : out;
}

static json_t *list_known(struct qb_ctl_request *r)
{
	struct qb_ctl_known *known = calloc(1, sizeof(*known));
	json_t *list = json_array();
	char err[QB_CTL_ERR_LEN] = "";
	int rc = known ? r->verbs->known(r->arg, known, err) : -ENOMEM;

	for (uint32_t i = 0; rc == 0 && i < known->cnt; i++) {
		const struct qb_ctl_known_link *k = &known->list[i];
		char key[17];

		snprintf(key, sizeof(key), "%016llx", (unsigned long long)k->key);
		json_array_append_new(list, json_pack("{s:s, s:o, s:I, s:o, s:I, s:o}", "key", key, "name", qb_json_text(k->name),
						      "window", (json_int_t)k->window_bytes, "rtt_ms",
						      json_real(round(k->rtt_ms * 1e3) / 1e3), "rate_bps",
						      (json_int_t)k->rate_bps, "age_s", json_real(round(k->age_s))));
	}
	if (rc == 0)
		list = json_pack("{s:i, s:f, s:o}", "schema", QB_CTL_SCHEMA, "life_s", known->life_s, "known", list);
	free(known);
	if (rc == 0)
		return list;
	json_decref(list);
	return result(rc, err);
}

static json_t *cmd_known(struct qb_ctl_request *r, const json_t *req)
{
	const char *verb = json_string_value(json_object_get(req, "verb"));
	const char *name = json_string_value(json_object_get(req, "name"));
	char err[QB_CTL_ERR_LEN] = "";
	uint32_t cnt = 0;
	int rc;

	if (!r->verbs->known || !r->verbs->forget)
		return qb_ctl_error("this daemon remembers no links");
	if (!verb)
		return list_known(r);
	if (strcmp(verb, "forget") != 0)
		return errorf("known cannot \"%.32s\"; allowed: forget", verb);
	qb_info("control: uid %u: known forget %s", (unsigned int)r->uid, name ? shown(name).text : "everything");
	rc = r->verbs->forget(r->arg, name, &cnt, err);
	if (rc)
		return result(rc, err);
	return json_pack("{s:i, s:i}", "schema", QB_CTL_SCHEMA, "forgotten", (int)cnt);
}

static const struct verb verbs[] = {
	{"status", cmd_status},	  {"links", cmd_links},
	{"sites", cmd_sites},	  {"counters", cmd_counters},
	{"monitor", cmd_monitor}, {"reload", cmd_reload},
	{"link", cmd_link},	  {"set", cmd_set},
	{"block", cmd_block},	  {"io", cmd_io},
	{"doctor", cmd_doctor},	  {"qlog", cmd_qlog},
	{"errors", cmd_errors},	  {"flows", cmd_flows},
	{"conns", cmd_conns},	  {"failover", cmd_failover},
	{"known", cmd_known},	  {"sched", cmd_sched},
	{"tun", cmd_tun},
};

static json_t *dispatch(struct qb_ctl_request *r, const json_t *req)
{
	const char *cmd = json_string_value(json_object_get(req, "cmd"));

	if (!cmd)
		return qb_ctl_error("a request is an object with \"cmd\", a string");
	for (size_t i = 0; i < QB_ARRAY_LEN(verbs); i++)
		if (strcmp(verbs[i].cmd, cmd) == 0)
			return verbs[i].answer(r, req);
	return errorf("there is no command \"%.64s\"", cmd);
}

json_t *qb_ctl_answer(struct qb_ctl_request *r, const char *line, size_t len)
{
	json_error_t why;
	json_t *req = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why), *answer;

	if (!req)
		return errorf("not JSON: %.160s", why.text);
	answer = dispatch(r, req);
	json_decref(req);
	return answer;
}
