/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who we are and who the others are, as TLS is to know it: the node's key, a hub's certificate for
 * clients that look at it as web clients do, the sites' keys; on an edge the hubs' keys, or the CAs
 * that vouch for them. Main thread, at start and on reload. The private keys are read as root; all
 * the rest again with each reload, as the user that the daemon has become.
 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 20 };

static const char *const system_cas[] = {
	"/etc/ssl/certs/ca-certificates.crt", /* Debian */
	"/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora */
	"/etc/ssl/cert.pem",		      /* Alpine */
};

/* read_file returns a file's text, of malloc's, or NULL with errno. */
static char *read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;
	char *text = fd < 0 ? NULL : malloc(FILE_MAX + 1);
	ssize_t n = 0;
	size_t len = 0;

	while (text && len < FILE_MAX && (n = read(fd, text + len, FILE_MAX - len)) > 0)
		len += (size_t)n;
	err = n < 0 ? errno : text || fd < 0 ? errno : ENOMEM;
	if (fd >= 0)
		close(fd);
	if (text && n == 0) {
		text[len] = '\0';
		return text;
	}
	free(text);
	errno = len == FILE_MAX ? EFBIG : err;
	return NULL;
}

static void drop_secret(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

/* ---- private keys ---- */

static bool is_open_to_others(const char *path)
{
	struct stat st;

	return path[0] && stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & (S_IROTH | S_IWOTH));
}

const char *qb_identity_open_key(const struct qb_daemon *d)
{
	const struct qb_conf *c = d->conf;

	if (is_open_to_others(c->key_file))
		return c->key_file;
	return is_open_to_others(c->listen.cert_key_file) ? c->listen.cert_key_file : NULL;
}

/* tell_unread: the way to a new key would lose one that is there. */
static void tell_unread(const char *path, int err)
{
	if (err == ENOENT)
		qb_err("there is no key file %s; make one with: umask 077; quicbondctl genkey > %s", path, path);
	else
		qb_err("cannot read the key file %s: %s", path, strerror(err));
}

/* read_cert_key gives what there was where the file cannot be read any more, as it is root's. */
static int read_cert_key(const struct qb_daemon *d, const struct qb_conf *c, char **out)
{
	const char *path = c->listen.cert_key_file;
	char *text = path[0] ? read_file(path) : NULL;
	int err = errno;

	if (path[0] && !text) {
		if (err == EACCES && d->cert_key_pem && !strcmp(d->cert_key_path, path)) {
			qb_warn("%s cannot be read by the daemon's user: the key stays as it was; "
				"let its group read it",
				path);
			*out = d->cert_key_pem;
			return 0;
		}
		qb_err("cannot read CertificateKey %s: %s", path, strerror(err));
		return -err;
	}
	*out = text;
	return 0;
}

/* use_cert_key: what it was before goes. */
static void use_cert_key(struct qb_daemon *d, const struct qb_conf *c, char *key)
{
	if (key != d->cert_key_pem)
		drop_secret(d->cert_key_pem);
	d->cert_key_pem = key;
	snprintf(d->cert_key_path, sizeof(d->cert_key_path), "%s", c->listen.cert_key_file);
}

int qb_identity_read(struct qb_daemon *d)
{
	const char *path = d->conf->key_file;
	uint8_t pub[QB_PUBKEY_LEN];
	char err[QB_TLS_ERR_LEN], *text = read_file(path), *cert_key;
	int ret;

	if (!text) {
		ret = -errno;
		tell_unread(path, -ret);
		return ret;
	}
	if (qb_key_public(text, pub, err)) {
		qb_err("key file %s: %s", path, err);
		drop_secret(text);
		return -EINVAL;
	}
	snprintf(d->key_pem, sizeof(d->key_pem), "%s", text);
	drop_secret(text);
	ret = read_cert_key(d, d->conf, &cert_key);
	if (ret == 0)
		use_cert_key(d, d->conf, cert_key);
	if (qb_identity_open_key(d))
		qb_warn("others may read or write the private key %s; chmod o= it", qb_identity_open_key(d));
	return ret;
}

void qb_identity_close(struct qb_daemon *d)
{
	explicit_bzero(d->key_pem, sizeof(d->key_pem));
	drop_secret(d->cert_key_pem);
	d->cert_key_pem = NULL;
}

/* ---- the context ---- */

/* What the context is made from, besides the config. */
struct material {
	uint8_t (*peers)[QB_PUBKEY_LEN];
	uint32_t peer_cnt;
	struct qb_tls_named named[QB_CONF_HUBS_MAX];
	char *ca[QB_CONF_HUBS_MAX], *crl[QB_CONF_HUBS_MAX]; /* owned */
	uint32_t named_cnt;
	char *cert; /* owned */
};

static char *read_cas(const char *ca)
{
	char *text = NULL;

	if (strcmp(ca, "system") != 0)
		return read_file(ca);
	for (size_t i = 0; i < QB_ARRAY_LEN(system_cas) && !text; i++)
		text = read_file(system_cas[i]);
	return text;
}

/* take_hub: one that a CA vouches for gets what stands for its key. */
static int take_hub(struct material *m, struct qb_conf_hub *h)
{
	char *text, *crl = NULL;

	if (!h->ca[0]) {
		memcpy(m->peers[m->peer_cnt++], h->public_key, QB_PUBKEY_LEN);
		return 0;
	}
	qb_tls_name_key(h->server_name, h->public_key);
	text = read_cas(h->ca);
	if (!text) {
		qb_err("hub %s: cannot read the CA %s: %s", h->name, h->ca, strerror(errno));
		return -errno;
	}
	m->ca[m->named_cnt] = text;
	if (h->crl[0])
		m->crl[m->named_cnt] = crl = read_file(h->crl);
	m->named[m->named_cnt++] =
		(struct qb_tls_named){.server_name = h->server_name, .ca_pem = text, .crl_pem = crl};
	if (!h->crl[0] || crl)
		return 0;
	qb_err("hub %s: cannot read the CRL %s: %s", h->name, h->crl, strerror(errno));
	return -errno;
}

static int gather(struct material *m, struct qb_conf *c)
{
	uint32_t cnt = c->role == QB_ROLE_EDGE ? c->hub_cnt : c->site_cnt;
	int ret = 0;

	m->peers = calloc(cnt ? cnt : 1, sizeof(*m->peers));
	if (!m->peers)
		return -ENOMEM;
	for (uint32_t i = 0; i < cnt && !ret; i++) {
		if (c->role == QB_ROLE_EDGE)
			ret = take_hub(m, &c->hubs[i]);
		else
			memcpy(m->peers[m->peer_cnt++], c->sites[i].public_key, QB_PUBKEY_LEN);
	}
	if (ret || !c->listen.cert_file[0])
		return ret;
	m->cert = read_file(c->listen.cert_file);
	if (m->cert)
		return 0;
	qb_err("cannot read Certificate %s: %s", c->listen.cert_file, strerror(errno));
	return -errno;
}

static void drop(struct material *m)
{
	for (uint32_t i = 0; i < m->named_cnt; i++) {
		free(m->ca[i]);
		free(m->crl[i]);
	}
	free(m->cert);
	free(m->peers);
}

struct qb_tls_ctx *qb_identity_make_tls(struct qb_daemon *d, struct qb_conf *c)
{
	struct material m = {0};
	char err[QB_TLS_ERR_LEN] = "";
	struct qb_tls_ctx *ctx = NULL;
	char *cert_key = d->cert_key_pem;

	if (gather(&m, c) == 0 && (c == d->conf || read_cert_key(d, c, &cert_key) == 0)) {
		struct qb_tls_cfg cfg = {
			.is_server = c->role == QB_ROLE_HUB,
			.key_pem = d->key_pem,
			.name = c->name,
			.alpn = "h3",
			.peers = (const uint8_t(*)[QB_PUBKEY_LEN])m.peers,
			.peer_cnt = m.peer_cnt,
			.named = m.named,
			.named_cnt = m.named_cnt,
			.cert_pem = m.cert,
			.cert_key_pem = cert_key,
			.tickets = d->keep.tickets,
			.is_early = true,
		};

		ctx = qb_tls_ctx_new(&cfg, err);
		if (ctx) {
			qb_tracing_watch_keys(d, ctx);
			use_cert_key(d, c, cert_key);
		} else {
			qb_err("TLS: %s", err);
		}
	}
	/* A config that is refused leaves the key in force: root's file cannot be read again. */
	if (cert_key != d->cert_key_pem)
		drop_secret(cert_key);
	drop(&m);
	return ctx;
}
