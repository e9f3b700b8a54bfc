/* SPDX-License-Identifier: BSD-2-Clause */
/* The resolver's thread: one question at a time, the newest one. */
#include "resolver.h"
#include "base/log.h"
#include "os/os.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

struct qb_resolver {
	struct qb_thread thread;
	pthread_mutex_t lock;
	pthread_cond_t asked;
	int wake_fd;
	bool is_stopping, is_asking, has_question, has_result;
	uint32_t question; /* counts them: an answer to an older one is of no use */
	struct qb_conf_hub hubs[QB_CONF_HUBS_MAX];
	uint32_t hub_cnt;
	struct qb_edge_hub result[QB_EDGE_HUBS_MAX];
	uint32_t result_cnt;
};

/* add appends the addresses of one name. */
static uint32_t add(const struct addrinfo *ai, const struct qb_conf_hub *hub, uint16_t port, struct qb_edge_hub *out,
		    uint32_t cnt)
{
	for (; ai && cnt < QB_EDGE_HUBS_MAX; ai = ai->ai_next) {
		char text[NI_MAXHOST];

		if (getnameinfo(ai->ai_addr, ai->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST) ||
		    qb_addr_parse(text, port, &out[cnt].addr))
			continue;
		memcpy(out[cnt].public_key, hub->public_key, QB_PUBKEY_LEN);
		snprintf(out[cnt].name, sizeof(out[cnt].name), "%s", hub->name);
		snprintf(out[cnt].server_name, sizeof(out[cnt].server_name), "%s", hub->server_name);
		cnt++;
	}
	return cnt;
}

uint32_t qb_resolver_lookup(const struct qb_conf_hub *hubs, uint32_t hub_cnt, struct qb_edge_hub out[QB_EDGE_HUBS_MAX])
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *list;
	uint32_t cnt = 0;

	memset(out, 0, QB_EDGE_HUBS_MAX * sizeof(out[0])); /* results are compared as a whole */
	for (uint32_t h = 0; h < hub_cnt; h++) {
		for (uint32_t a = 0; a < hubs[h].addr_cnt; a++) {
			int ret = getaddrinfo(hubs[h].addrs[a].host, NULL, &hints, &list);

			if (ret) {
				qb_warn("hub %s: cannot resolve %s: %s", hubs[h].name, hubs[h].addrs[a].host,
					gai_strerror(ret));
				continue;
			}
			cnt = add(list, &hubs[h], hubs[h].addrs[a].port, out, cnt);
			freeaddrinfo(list);
		}
	}
	return cnt;
}

bool qb_resolver_is_numeric(const struct qb_conf *c)
{
	struct qb_addr addr;

	for (uint32_t h = 0; h < c->hub_cnt; h++)
		for (uint32_t a = 0; a < c->hubs[h].addr_cnt; a++)
			if (qb_addr_parse(c->hubs[h].addrs[a].host, 0, &addr))
				return false;
	return true;
}

static void destroy(struct qb_resolver *r)
{
	pthread_cond_destroy(&r->asked);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static void resolve(void *arg)
{
	struct qb_resolver *r = arg;
	struct qb_conf_hub hubs[QB_CONF_HUBS_MAX];
	struct qb_edge_hub result[QB_EDGE_HUBS_MAX];

	pthread_mutex_lock(&r->lock);
	while (!r->is_stopping) {
		uint32_t hub_cnt = r->hub_cnt, question = r->question, cnt;

		if (!r->has_question) {
			pthread_cond_wait(&r->asked, &r->lock);
			continue;
		}
		r->has_question = false;
		r->is_asking = true;
		memcpy(hubs, r->hubs, sizeof(hubs));
		pthread_mutex_unlock(&r->lock);
		cnt = qb_resolver_lookup(hubs, hub_cnt, result);
		pthread_mutex_lock(&r->lock);
		if (r->is_stopping) {
			/* Nobody waited: what is left is ours. */
			pthread_mutex_unlock(&r->lock);
			destroy(r);
			return;
		}
		r->is_asking = false;
		if (question != r->question)
			continue;
		memcpy(r->result, result, cnt * sizeof(result[0]));
		r->result_cnt = cnt;
		r->has_result = true;
		qb_wake(r->wake_fd);
	}
	pthread_mutex_unlock(&r->lock);
}

struct qb_resolver *qb_resolver_open(int wake_fd)
{
	struct qb_resolver *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->wake_fd = wake_fd;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->asked, NULL);
	if (qb_thread_start(&r->thread, "qb-resolver", -1, resolve, r)) {
		free(r);
		return NULL;
	}
	return r;
}

void qb_resolver_close(struct qb_resolver *r)
{
	bool is_asking;

	pthread_mutex_lock(&r->lock);
	r->is_stopping = true;
	is_asking = r->is_asking;
	if (is_asking)
		pthread_detach(r->thread.id);
	pthread_cond_signal(&r->asked);
	pthread_mutex_unlock(&r->lock);
	/* A name server that does not answer may take half a minute, which no stop waits for. */
	if (is_asking)
		return;
	qb_thread_join(&r->thread);
	destroy(r);
}

void qb_resolver_ask(struct qb_resolver *r, const struct qb_conf *c)
{
	pthread_mutex_lock(&r->lock);
	if (r->hub_cnt != c->hub_cnt || memcmp(r->hubs, c->hubs, sizeof(r->hubs))) {
		memcpy(r->hubs, c->hubs, sizeof(r->hubs));
		r->hub_cnt = c->hub_cnt;
		r->question++;
		r->has_result = false;
	}
	r->has_question = true;
	pthread_cond_signal(&r->asked);
	pthread_mutex_unlock(&r->lock);
}

void qb_resolver_forget(struct qb_resolver *r)
{
	pthread_mutex_lock(&r->lock);
	r->question++;
	r->has_question = r->has_result = false;
	pthread_mutex_unlock(&r->lock);
}

bool qb_resolver_take(struct qb_resolver *r, struct qb_edge_hub hubs[QB_EDGE_HUBS_MAX], uint32_t *cnt)
{
	bool has_result;

	pthread_mutex_lock(&r->lock);
	has_result = r->has_result;
	if (has_result) {
		memcpy(hubs, r->result, r->result_cnt * sizeof(hubs[0]));
		*cnt = r->result_cnt;
		r->has_result = false;
	}
	pthread_mutex_unlock(&r->lock);
	return has_result;
}
