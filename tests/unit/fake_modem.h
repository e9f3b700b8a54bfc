/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What ModemManager would answer: a modem on wwan0 and veth-like names, as tests want it. Shared by
 * the unit test, where the two ends of a socket are enough, and by the service that the namespace
 * tests run on a bus of their own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <systemd/sd-bus.h>

#define FAKE_MM	     "org.freedesktop.ModemManager1"
#define FAKE_MM_PATH "/org/freedesktop/ModemManager1"

struct fake_modem {
	const char *ifname;
	uint32_t technologies, quality;
	double lte_rsrp, lte_rssi; /* 0: the modem does not measure it */
	bool is_wrong;		   /* properties of other types than there should be */
};

static int fake_append_signal(sd_bus_message *r, const struct fake_modem *m)
{
	int ret = sd_bus_message_open_container(r, 'e', "sa{sv}");

	ret |= sd_bus_message_append(r, "s", FAKE_MM ".Modem.Signal");
	ret |= sd_bus_message_open_container(r, 'a', "{sv}");
	ret |= sd_bus_message_append(r, "{sv}", "Rate", "u", 10);
	ret |= sd_bus_message_append(r, "{sv}", "Umts", "a{sv}", 2, "rscp", "d", -95.0, "ecio", "d",
				     -3.0);
	ret |= sd_bus_message_append(r, "{sv}", "Lte", "a{sv}", 3, "rssi", "d", m->lte_rssi,
				     "error-rate", "s", "none", "rsrp", "d", m->lte_rsrp);
	ret |= sd_bus_message_append(r, "{sv}", "Nr5g", "a{sv}", 1, "rsrp", "d", -32768.0);
	ret |= sd_bus_message_close_container(r);
	return ret | sd_bus_message_close_container(r);
}

static int fake_append_modem(sd_bus_message *r, const struct fake_modem *m, int number)
{
	char path[64];
	int ret;

	snprintf(path, sizeof(path), FAKE_MM_PATH "/Modem/%d", number);
	ret = sd_bus_message_open_container(r, 'e', "oa{sa{sv}}");
	ret |= sd_bus_message_append(r, "o", path);
	ret |= sd_bus_message_open_container(r, 'a', "{sa{sv}}");
	ret |= sd_bus_message_append(r, "{sa{sv}}", FAKE_MM ".Modem.Modem3gpp", 1, "OperatorName",
				     "s", "x");
	ret |= sd_bus_message_open_container(r, 'e', "sa{sv}");
	ret |= sd_bus_message_append(r, "s", FAKE_MM ".Modem");
	ret |= sd_bus_message_open_container(r, 'a', "{sv}");
	ret |= sd_bus_message_append(r, "{sv}", "Model", "s", "fake");
	ret |= sd_bus_message_append(r, "{sv}", "Ports", "a(su)", 3, "ttyUSB0", 3, m->ifname, 2,
				     "a-name-that-is-too-long", 2);
	if (m->is_wrong)
		ret |= sd_bus_message_append(r, "{sv}", "AccessTechnologies", "s", "LTE");
	else
		ret |= sd_bus_message_append(r, "{sv}", "AccessTechnologies", "u", m->technologies);
	ret |= sd_bus_message_append(r, "{sv}", "SignalQuality", "(ub)", m->quality, 1);
	ret |= sd_bus_message_close_container(r);
	ret |= sd_bus_message_close_container(r);
	ret |= fake_append_signal(r, m);
	ret |= sd_bus_message_close_container(r);
	return ret | sd_bus_message_close_container(r);
}

static int fake_answer(sd_bus_message *call, const struct fake_modem *m, int cnt)
{
	sd_bus_message *r = NULL;
	int ret = sd_bus_message_new_method_return(call, &r);

	ret |= sd_bus_message_open_container(r, 'a', "{oa{sa{sv}}}");
	for (int i = 0; i < cnt; i++)
		ret |= fake_append_modem(r, &m[i], i);
	ret |= sd_bus_message_close_container(r);
	if (ret >= 0)
		ret = sd_bus_send(sd_bus_message_get_bus(call), r, NULL);
	sd_bus_message_unref(r);
	return ret;
}
