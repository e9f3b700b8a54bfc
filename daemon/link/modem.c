/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What ModemManager knows of the modems behind interfaces: technology and signal, for people who
 * look at `links`. Asked now and then over D-Bus, by the main thread, which never waits for an
 * answer; a host without it has no such figures, and it is not started for our sake.
 */
#include "link/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-bus.h>

#include "base/base.h"

#define MM "org.freedesktop.ModemManager1"

enum {
	ASK_MS = 5000,	 /* while there are modems */
	LOOK_MS = 60000, /* whether there is one */
	PORT_NET = 2,	 /* MMModemPortType */
	PORTS_MAX = 4,	 /* network interfaces of one modem */
};

struct qb_modems {
	sd_bus *bus; /* NULL: none */
	sd_bus_slot *asked;
	uint64_t asked_ns; /* 0: never */
	struct qb_modem m[QB_MODEMS_MAX];
	uint32_t cnt;
};

/* A modem as the answer tells of it, interface by interface. */
struct heard {
	char ports[PORTS_MAX][sizeof(((struct qb_modem *)0)->ifname)];
	uint32_t port_cnt;
	struct qb_modem m;
	int dbm_rank; /* of the technology that told the strength */
};

/* ---- reading: negative is an error of the message, which ends it ---- */

static const char *technology_name(uint32_t bits)
{
	static const struct {
		uint32_t bits;
		const char *name;
	} names[] = {
		/* MMModemAccessTechnology, the newest generation first */
		{1u << 15, "5G"},
		{1u << 14 | 1u << 16 | 1u << 17, "LTE"},
		{0x1fu << 5 | 7u << 11, "3G"},
		{0xfu << 1 | 1u << 10, "2G"},
	};

	for (size_t i = 0; i < QB_ARRAY_LEN(names); i++)
		if (bits & names[i].bits)
			return names[i].name;
	return "";
}

static int read_ports(sd_bus_message *r, struct heard *h)
{
	const char *name;
	uint32_t type;
	int ret = sd_bus_message_enter_container(r, 'a', "(su)");

	if (ret < 0)
		return ret;
	while ((ret = sd_bus_message_read(r, "(su)", &name, &type)) > 0)
		if (type == PORT_NET && h->port_cnt < PORTS_MAX &&
		    strlen(name) < sizeof(h->ports[0]))
			strcpy(h->ports[h->port_cnt++], name);
	return ret < 0 ? ret : sd_bus_message_exit_container(r);
}

static int read_modem(sd_bus_message *r, const char *property, struct heard *h)
{
	uint32_t bits, quality;
	int is_recent, ret;

	if (!strcmp(property, "Ports"))
		return read_ports(r, h);
	if (!strcmp(property, "AccessTechnologies")) {
		ret = sd_bus_message_read(r, "u", &bits);
		if (ret > 0)
			snprintf(h->m.technology, sizeof(h->m.technology), "%s",
				 technology_name(bits));
		return ret;
	}
	if (!strcmp(property, "SignalQuality")) {
		ret = sd_bus_message_read(r, "(ub)", &quality, &is_recent);
		if (ret > 0 && quality <= 100) {
			h->m.has_quality = true;
			h->m.quality_pct = (uint8_t)quality;
		}
		return ret;
	}
	return sd_bus_message_skip(r, NULL);
}

/*
 * read_strength reads what is measured of one technology: the strength of the reference signal
 * where there is one, of all that is received elsewhere.
 */
static int read_strength(sd_bus_message *r, int technology_rank, struct heard *h)
{
	static const char *const kinds[] = {"rssi", "rscp", "rsrp"}; /* the best last */
	const char *kind, *contents;
	double dbm;
	int ret = sd_bus_message_enter_container(r, 'a', "{sv}");

	if (ret < 0)
		return ret;
	while ((ret = sd_bus_message_enter_container(r, 'e', "sv")) > 0) {
		ret = sd_bus_message_read(r, "s", &kind);
		if (ret < 0)
			return ret;
		ret = sd_bus_message_peek_type(r, NULL, &contents);
		if (ret < 0)
			return ret;
		dbm = 0;
		ret = strcmp(contents, "d") ? sd_bus_message_skip(r, "v")
					    : sd_bus_message_read(r, "v", "d", &dbm);
		if (ret < 0)
			return ret;
		for (size_t i = 0; i < QB_ARRAY_LEN(kinds); i++) {
			int rank = technology_rank * 4 + (int)i;

			/* Below -200 is how it says that it does not know. */
			if (strcmp(kind, kinds[i]) || rank < h->dbm_rank ||
			    !(dbm < 0 && dbm > -200))
				continue;
			h->dbm_rank = rank;
			h->m.dbm = (int32_t)(dbm - 0.5);
		}
		ret = sd_bus_message_exit_container(r);
		if (ret < 0)
			return ret;
	}
	return ret < 0 ? ret : sd_bus_message_exit_container(r);
}

static int read_signal(sd_bus_message *r, const char *property, struct heard *h)
{
	static const char *const technologies[] = {"Cdma", "Evdo", "Gsm", "Umts", "Lte", "Nr5g"};

	for (size_t i = 0; i < QB_ARRAY_LEN(technologies); i++)
		if (!strcmp(property, technologies[i]))
			return read_strength(r, (int)i + 1, h);
	return sd_bus_message_skip(r, NULL);
}

/* leave goes out of so many containers; ret is what came of reading what is in them. */
static int leave(sd_bus_message *r, int ret, int depth)
{
	while (ret >= 0 && depth-- > 0)
		ret = sd_bus_message_exit_container(r);
	return ret;
}

/* read_interface reads the properties of one of an object's interfaces. */
static int read_interface(sd_bus_message *r, struct heard *h)
{
	int (*read)(sd_bus_message *, const char *, struct heard *) = NULL;
	const char *name, *property, *contents;
	int ret = sd_bus_message_read(r, "s", &name);

	if (ret < 0)
		return ret;
	if (!strcmp(name, MM ".Modem"))
		read = read_modem;
	else if (!strcmp(name, MM ".Modem.Signal"))
		read = read_signal;
	if (!read)
		return sd_bus_message_skip(r, "a{sv}");
	ret = sd_bus_message_enter_container(r, 'a', "{sv}");
	if (ret < 0)
		return ret;
	while ((ret = sd_bus_message_enter_container(r, 'e', "sv")) > 0) {
		ret = sd_bus_message_read(r, "s", &property);
		if (ret >= 0)
			ret = sd_bus_message_peek_type(r, NULL, &contents);
		if (ret >= 0)
			ret = sd_bus_message_enter_container(r, 'v', contents);
		if (ret >= 0)
			ret = leave(r, read(r, property, h), 2);
		if (ret < 0)
			return ret;
	}
	return ret < 0 ? ret : sd_bus_message_exit_container(r);
}

static void keep(struct qb_modems *all, const struct heard *h)
{
	for (uint32_t i = 0; i < h->port_cnt && all->cnt < QB_MODEMS_MAX; i++) {
		all->m[all->cnt] = h->m;
		strcpy(all->m[all->cnt++].ifname, h->ports[i]);
	}
}

/* read_objects reads a{oa{sa{sv}}}, what GetManagedObjects returns. */
static int read_objects(sd_bus_message *r, struct qb_modems *all)
{
	const char *path;
	int ret = sd_bus_message_enter_container(r, 'a', "{oa{sa{sv}}}");

	if (ret < 0)
		return ret;
	while ((ret = sd_bus_message_enter_container(r, 'e', "oa{sa{sv}}")) > 0) {
		struct heard h = {.port_cnt = 0};

		ret = sd_bus_message_read(r, "o", &path);
		if (ret >= 0)
			ret = sd_bus_message_enter_container(r, 'a', "{sa{sv}}");
		while (ret >= 0 && (ret = sd_bus_message_enter_container(r, 'e', "sa{sv}")) > 0)
			ret = leave(r, read_interface(r, &h), 1);
		ret = leave(r, ret, 2);
		if (ret < 0)
			return ret;
		keep(all, &h);
	}
	return ret;
}

/* ---- asking ---- */

static int on_objects(sd_bus_message *r, void *arg, sd_bus_error *error)
{
	struct qb_modems *all = arg;

	(void)error;
	all->asked = sd_bus_slot_unref(all->asked);
	all->cnt = 0;
	/* What could be read until then is no less true. */
	if (!sd_bus_message_is_method_error(r, NULL))
		(void)read_objects(r, all);
	return 0;
}

static void forget_bus(struct qb_modems *all)
{
	all->asked = sd_bus_slot_unref(all->asked);
	all->bus = sd_bus_close_unref(all->bus);
	all->cnt = 0;
}

static int ask(struct qb_modems *all)
{
	sd_bus_message *m = NULL;
	int ret = sd_bus_message_new_method_call(all->bus, &m, MM, "/org/freedesktop/ModemManager1",
						 "org.freedesktop.DBus.ObjectManager",
						 "GetManagedObjects");

	if (ret >= 0)
		ret = sd_bus_message_set_auto_start(m, 0);
	if (ret >= 0)
		ret = sd_bus_call_async(all->bus, &all->asked, m, on_objects, all, 0);
	sd_bus_message_unref(m);
	return ret;
}

struct qb_modems *qb_modems_new(int fd)
{
	struct qb_modems *all = calloc(1, sizeof(*all));

	if (!all || fd < 0)
		return all;
	if (sd_bus_new(&all->bus) < 0 || sd_bus_set_fd(all->bus, fd, fd) < 0 ||
	    sd_bus_start(all->bus) < 0) {
		qb_modems_free(all);
		return NULL;
	}
	return all;
}

void qb_modems_free(struct qb_modems *all)
{
	if (!all)
		return;
	forget_bus(all);
	free(all);
}

void qb_modems_poll(struct qb_modems *all, uint64_t now_ns)
{
	int ret = 0;

	if (all->bus)
		while ((ret = sd_bus_process(all->bus, NULL)) > 0)
			;
	if (ret < 0)
		forget_bus(all);
	if (all->asked || (all->asked_ns &&
			   now_ns - all->asked_ns < (all->cnt ? ASK_MS : LOOK_MS) * QB_NS_PER_MS))
		return;
	all->asked_ns = now_ns;
	if (!all->bus && sd_bus_open_system(&all->bus) < 0)
		return;
	if (ask(all) < 0)
		forget_bus(all);
	else
		(void)sd_bus_process(all->bus, NULL); /* it leaves */
}

const struct qb_modem *qb_modems_find(const struct qb_modems *all, const char *ifname)
{
	for (uint32_t i = 0; all && i < all->cnt; i++)
		if (!strcmp(all->m[i].ifname, ifname))
			return &all->m[i];
	return NULL;
}
