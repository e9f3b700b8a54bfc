/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quicbondctl explain: one link in sentences, made of what `links` says of it and of the others:
 * "why is wan2 idle?" Called by quicbondctl.c.
 */
#include "tools/ctl_explain.h"

#include <stdarg.h>
#include <string.h>

#include "base/base.h"

enum { LINE_LEN = 256, RATE_LEN = 24, TIMES_LEN = 24 };

static const char *text_of(const json_t *o, const char *field)
{
	const char *text = json_string_value(json_object_get(o, field));

	return text ? text : "";
}

static double number_of(const json_t *o, const char *field)
{
	return json_number_value(json_object_get(o, field));
}

static const char *rate(char out[RATE_LEN], double bps)
{
	if (bps >= 999.5e6)
		snprintf(out, RATE_LEN, "%.2f Gbit/s", bps / 1e9);
	else if (bps >= 999.5e3)
		snprintf(out, RATE_LEN, "%.1f Mbit/s", bps / 1e6);
	else
		snprintf(out, RATE_LEN, "%.0f kbit/s", bps / 1e3);
	return out;
}

static void QB_PRINTF(2, 3) say(json_t *lines, const char *fmt, ...)
{
	char text[LINE_LEN];
	va_list ap;
	json_t *line;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	line = json_string(text);
	/* Cut in the middle of a character, or not UTF-8 at all: nothing else can be wrong with it.
	 */
	json_array_append_new(lines, line ? line : json_string("?"));
}

static bool is_of_site(const json_t *link, const char *site)
{
	return strcmp(text_of(link, "site"), site) == 0;
}

static bool is_absent(const json_t *l)
{
	return strcmp(text_of(l, "state"), "absent") == 0;
}

static void say_state(json_t *lines, const json_t *l)
{
	/* A hub knows a link by what its edge calls it, or by where it comes from. */
	const char *ifname = text_of(l, "interface"), *told = text_of(l, "peer_name"),
		   *by = *ifname ? ifname : *told ? told : text_of(l, "peer"), *why = text_of(l, "share_reason");
	char age[32] = "";

	if (number_of(l, "state_age_s") > 0)
		snprintf(age, sizeof(age), ", for %.0f s", number_of(l, "state_age_s"));
	say(lines, "%s%s%s%s is %s%s; tier %s", text_of(l, "name"), *by ? " (" : "", by, *by ? ")" : "", text_of(l, "state"), age,
	    text_of(l, "tier"));
	say(lines, "why: %s", *why ? why : text_of(l, "reason"));
}

static void say_traffic(json_t *lines, const json_t *l, const json_t *links)
{
	char own[RATE_LEN], all[RATE_LEN], rx[RATE_LEN];
	double sum = 0;
	const json_t *o;
	size_t i;

	json_array_foreach((json_t *)links, i, o) sum +=
		is_of_site(o, text_of(l, "site")) ? number_of(o, "tx_bps") : 0;
	say(lines, "sends %s of %s (%.0f %%), receives %s", rate(own, number_of(l, "tx_bps")),
	    rate(all, sum), number_of(l, "share") * 100, rate(rx, number_of(l, "rx_bps")));
}

static const char *times(char out[TIMES_LEN], double n)
{
	static const char *const few[] = {"never", "once", "twice"};

	if (n > 2)
		snprintf(out, TIMES_LEN, "%.0f times", n);
	else
		snprintf(out, TIMES_LEN, "%s", few[n > 0 ? (int)n : 0]);
	return out;
}

static void say_failures(json_t *lines, const json_t *l)
{
	double given_up = number_of(l, "failures"), back = number_of(l, "recoveries"), flaps = number_of(l, "flaps");
	char often[2][TIMES_LEN], returns[TIMES_LEN + 16], soon[64] = "";

	if (flaps >= 2)
		snprintf(soon, sizeof(soon), "; the last %.0f failures came soon after one another", flaps);
	if (back > 0)
		snprintf(returns, sizeof(returns), "came back %s", times(often[1], back));
	else
		snprintf(returns, sizeof(returns), "has not come back");
	say(lines, "was given up %s and %s%s", times(often[0], given_up), returns, soon);
}

static void say_quality(json_t *lines, const json_t *l)
{
	char delivery[RATE_LEN], limit[RATE_LEN];
	bool was_busy = number_of(l, "rtt_loaded_ms") > 0;
	double least_ms = number_of(l, "rtt_min_ms"), limit_bps = number_of(l, "limit_bps");

	if (least_ms == 0) {
		say(lines, "nothing is measured yet");
		return;
	}
	if (json_is_integer(json_object_get(l, "signal_dbm")))
		say(lines, "its radio hears %.0f dBm", number_of(l, "signal_dbm"));
	if (json_is_integer(json_object_get(l, "signal_percent")))
		say(lines, "its modem is connected by %s, and rates the signal %.0f %%",
		    *text_of(l, "technology") ? text_of(l, "technology") : "nothing",
		    number_of(l, "signal_percent"));
	say(lines, "delivered %s%s; round trip %.1f ms, at least %.1f; queue on the way %.1f ms; loss %.2f %%",
	    rate(delivery, number_of(l, "delivery_bps")), was_busy ? " when last kept busy" : " at most, and was not kept busy yet",
	    number_of(l, "rtt_ms"), least_ms, number_of(l, "queue_tx_ms"), number_of(l, "loss") * 100);
	if (number_of(l, "owd_tx_ms") > 0 || number_of(l, "owd_rx_ms") > 0)
		say(lines, "one way, without queues, it is %.1f ms behind the quickest link from here, and %.1f ms to here",
		    number_of(l, "owd_tx_ms"), number_of(l, "owd_rx_ms"));
	if (was_busy)
		say(lines, "kept busy, its round trip is %.1f ms: load adds %.1f", number_of(l, "rtt_loaded_ms"),
		    QB_MAX(number_of(l, "rtt_loaded_ms") - least_ms, 0.0));
	if (limit_bps > 0)
		say(lines, "is limited to %s by configuration", rate(limit, limit_bps));
	say(lines, "%s lets %.0f kB be under way, and %.0f kB are%s%s", text_of(l, "congestion"),
	    number_of(l, "cwnd") / 1e3, number_of(l, "in_flight") / 1e3,
	    *text_of(l, "congestion_reason") ? ": " : "", text_of(l, "congestion_reason"));
	if (number_of(l, "failures") > 0)
		say_failures(lines, l);
}

/* say_partners: "dsl2 and lte". */
static void say_partners(json_t *lines, const json_t *l)
{
	const json_t *partners = json_object_get(l, "shares_with"), *name;
	char text[LINE_LEN] = "";
	size_t i, len = 0;

	json_array_foreach((json_t *)partners, i, name)
	{
		const char *before = i == 0 ? "" : i + 1 == json_array_size(partners) ? " and " : ", ";

		if (json_is_string(name) && len < sizeof(text))
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", before, json_string_value(name));
	}
	if (len)
		say(lines, "waits in one queue with %s somewhere on the way: together they take as much as one flow", text);
}

static void say_others(json_t *lines, const json_t *l, const json_t *links)
{
	char tx[RATE_LEN];
	const json_t *o;
	size_t i;

	json_array_foreach((json_t *)links, i, o)
	{
		if (o == l || !is_of_site(o, text_of(l, "site")))
			continue;
		if (is_absent(o)) {
			say(lines, "beside it %s is absent: %s", text_of(o, "name"), text_of(o, "reason"));
			continue;
		}
		say(lines, "beside it %s is %s and sends %s (%.0f %%), round trip %.1f ms: %s",
		    text_of(o, "name"), text_of(o, "state"), rate(tx, number_of(o, "tx_bps")),
		    number_of(o, "share") * 100, number_of(o, "rtt_ms"),
		    text_of(o, "share_reason"));
	}
}

/* find_link takes "wan2", or on a hub "paris/path1". */
static const json_t *find_link(const json_t *links, const char *name)
{
	const json_t *l;
	size_t i;

	json_array_foreach((json_t *)links, i, l)
	{
		const char *site = text_of(l, "site");
		size_t len = strlen(site);

		if (!len && strcmp(text_of(l, "name"), name) == 0)
			return l;
		if (len && strncmp(name, site, len) == 0 && name[len] == '/' &&
		    (strcmp(text_of(l, "name"), name + len + 1) == 0 || strcmp(text_of(l, "peer_name"), name + len + 1) == 0))
			return l;
	}
	return NULL;
}

json_t *ctl_explain(const json_t *answer, const char *name)
{
	const json_t *links = json_object_get(answer, "links"), *l = find_link(links, name);
	json_t *lines;

	if (!l)
		return NULL;
	lines = json_array();
	say_state(lines, l);
	if (!is_absent(l)) {
		say_traffic(lines, l, links);
		say_quality(lines, l);
		say_partners(lines, l);
	}
	say_others(lines, l, links);
	return json_pack("{s:i, s:O, s:o}", "schema", 1, "link", l, "lines", lines);
}
