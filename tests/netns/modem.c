/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stands for ModemManager on the system's bus (DBUS_SYSTEM_BUS_ADDRESS: a test's own): one modem,
 * on the interface that is named.
 *
 *     modem INTERFACE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/fake_modem.h"

static struct fake_modem modem = {
	.technologies = 1u << 14, .quality = 67, .lte_rsrp = -101, .lte_rssi = -70};

static int on_call(sd_bus_message *call, void *arg, sd_bus_error *error)
{
	(void)arg, (void)error;
	if (!sd_bus_message_is_method_call(call, "org.freedesktop.DBus.ObjectManager",
					   "GetManagedObjects"))
		return 0;
	return fake_answer(call, &modem, 1) < 0 ? -1 : 1;
}

int main(int argc, char **argv)
{
	sd_bus *bus = NULL;
	int ret;

	if (argc != 2)
		return 2;
	modem.ifname = argv[1];
	ret = sd_bus_open_system(&bus);
	if (ret >= 0)
		ret = sd_bus_add_filter(bus, NULL, on_call, NULL);
	if (ret >= 0)
		ret = sd_bus_request_name(bus, FAKE_MM, 0);
	if (ret >= 0)
		puts("ready");
	fflush(stdout);
	while (ret >= 0) {
		ret = sd_bus_process(bus, NULL);
		if (ret == 0)
			ret = sd_bus_wait(bus, UINT64_MAX);
	}
	fprintf(stderr, "modem: %s\n", strerror(-ret));
	return 1;
}
