/* SPDX-License-Identifier: BSD-2-Clause */
/* The resolver's thread, with a name server that answers when the test says so. */
#include <check.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/os.h"
#include "resolver.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_silent; /* the name server */
static uint32_t asked, answered;
static uint8_t last_octet;

/* These take the place of the C library's. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
		struct addrinfo **out)
{
	struct sockaddr_in *sin = calloc(1, sizeof(*sin));
	struct addrinfo *ai = calloc(1, sizeof(*ai));

	(void)name, (void)service, (void)hints;
	pthread_mutex_lock(&lock);
	asked++;
	pthread_cond_broadcast(&changed);
	while (is_silent)
		pthread_cond_wait(&changed, &lock);
	sin->sin_family = AF_INET;
	sin->sin_addr.s_addr = htonl(0xc0000200u | last_octet);
	answered++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	*ai = (struct addrinfo){.ai_family = AF_INET,
				.ai_addr = (struct sockaddr *)sin,
				.ai_addrlen = sizeof(*sin)};
	*out = ai;
	return 0;
}

void freeaddrinfo(struct addrinfo *ai)
{
	free(ai->ai_addr);
	free(ai);
}

static void wait_until(const uint32_t *what, uint32_t value)
{
	pthread_mutex_lock(&lock);
	while (*what < value)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void server(bool silent, uint8_t octet)
{
	pthread_mutex_lock(&lock);
	is_silent = silent;
	last_octet = octet;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static int wake_fd;
static struct qb_resolver *r;
static struct qb_conf *conf;

static void setup(void)
{
	asked = answered = 0;
	server(false, 1);
	wake_fd = qb_wake_open();
	r = qb_resolver_open(wake_fd);
	conf = calloc(1, sizeof(*conf));
	ck_assert_ptr_nonnull(r);
	ck_assert_ptr_nonnull(conf);
	conf->hub_cnt = 1;
	conf->hubs[0].addr_cnt = 1;
	strcpy(conf->hubs[0].name, "fra");
	strcpy(conf->hubs[0].addrs[0].host, "hub.example");
	conf->hubs[0].addrs[0].port = 4433;
}

static void teardown(void)
{
	close(wake_fd);
	free(conf);
}

static void expect_answer(uint8_t octet)
{
	struct pollfd p = {.fd = wake_fd, .events = POLLIN};
	struct qb_edge_hub hubs[QB_EDGE_HUBS_MAX];
	uint32_t cnt = 0;

	ck_assert_int_eq(poll(&p, 1, 5000), 1);
	ck_assert(qb_resolver_take(r, hubs, &cnt));
	ck_assert_uint_eq(cnt, 1);
	ck_assert_uint_eq(hubs[0].addr.ip[3], octet);
	ck_assert_uint_eq(hubs[0].addr.port, 4433);
	ck_assert(!qb_resolver_take(r, hubs, &cnt));
}

START_TEST(test_answers)
{
	ck_assert(!qb_resolver_is_numeric(conf));
	qb_resolver_ask(r, conf);
	expect_answer(1);
	qb_resolver_close(r);
}
END_TEST

START_TEST(test_newer_question)
{
	/* The answer to the older one came too late to be of use. */
	server(true, 1);
	qb_resolver_ask(r, conf);
	wait_until(&asked, 1);
	strcpy(conf->hubs[0].addrs[0].host, "other.example");
	qb_resolver_ask(r, conf);
	server(false, 2);
	expect_answer(2);
	ck_assert_uint_eq(answered, 2);
	qb_resolver_close(r);
}
END_TEST

START_TEST(test_close_waits_for_no_server)
{
	/* With a server that never answers, a close that waits is ended by the test's time-out. */
	server(true, 1);
	qb_resolver_ask(r, conf);
	wait_until(&asked, 1);
	qb_resolver_close(r);
	server(false, 1);
	wait_until(&answered, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("resolver");
	TCase *tc = tcase_create("resolver");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_answers);
	tcase_add_test(tc, test_newer_question);
	tcase_add_test(tc, test_close_waits_for_no_server);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
