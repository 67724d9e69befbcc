/*
 * An app that is the only file of its image: gcc -static -O2 -pthread.
 *
 *   GET  /           "<version> <host name>", with the version in VERSION
 *   GET  /health     200, or the status of the last POST /health?<status>
 *   GET  /slow?<ms>  responds after that time
 *   GET  /client     the address from the PROXY protocol, with PROXY=1
 *   POST /upload     "<bytes>" after the whole body
 *   any with Upgrade: 101, then an echo until the client closes
 *   POST /exit?<code>, POST /eat (allocates all memory), POST /hang (stops responding)
 *
 *   START_DELAY=ms  listens later          NO_LISTEN=1      never listens
 *   FAIL=code       exits at once          CRASH_AFTER=ms   exits with 1 after that time
 *   HEALTH=status   of GET /health         IGNORE_TERM=1    ignores SIGTERM
 *   CRASH_AFTER_PROBE=ms   exits with 1 that time after the first GET /health
 *   COUNTS=dir      a directory for a file with the number of responses, named after the host
 *   PORT, PORT2     the ports to listen on
 *
 * "app check" is a HEALTHCHECK: it exits with 0 if GET /health responds with 200.
 * SIGTERM stops listening. The app exits after all responses, when all upgraded clients are gone.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD = 16384 };

static const char *version;
static char host[64];
static atomic_int health = 200;
static atomic_int open_connections;
static atomic_bool ending, hanging, is_probed;
static long answers;
static int counts = -1;
static int listeners[2] = {-1, -1};

struct connection {
  int fd;
  char head[HEAD + 1];
  size_t length;
  char peer[64];
  int is_probe;
};

static const char *setting(const char *name, const char *otherwise) {
  const char *value = getenv(name);
  return value && *value ? value : otherwise;
}

static void pause_ms(long ms) { usleep((useconds_t)ms * 1000); }

static int send_all(int fd, const char *data, size_t length) {
  while (length > 0) {
    ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
    if (sent <= 0) return -1;
    data += sent;
    length -= (size_t)sent;
  }
  return 0;
}

/* Called before an answer is sent: a stop signal that follows the answer may kill the process at once. */
static void count_answers(long change) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&lock);
  answers += change;
  char text[32];
  int length = snprintf(text, sizeof text, "%20ld\n", answers);
  if (counts >= 0 && pwrite(counts, text, (size_t)length, 0) < 0) perror("counts");
  pthread_mutex_unlock(&lock);
}

/* Returns whether the connection stays open. */
static int answer(struct connection *c, int status, const char *body, int close_it) {
  char text[512];
  close_it |= atomic_load(&ending);
  int length = snprintf(text, sizeof text,
                        "HTTP/1.1 %d %s\r\nContent-Length: %zu\r\nX-Version: %s\r\nX-Host: %s\r\n"
                        "Connection: %s\r\n\r\n%s",
                        status, status < 400 ? "OK" : "Not OK", strlen(body), version, host,
                        close_it ? "close" : "keep-alive", body);
  if (!c->is_probe) count_answers(1);
  if (send_all(c->fd, text, (size_t)length) < 0) {
    if (!c->is_probe) count_answers(-1);
    return 0;
  }
  return !close_it;
}

/* Reads a complete head, and returns its length; 0 at the end. */
static size_t read_head(struct connection *c) {
  for (;;) {
    char *end = memmem(c->head, c->length, "\r\n\r\n", 4);
    if (end) return (size_t)(end - c->head) + 4;
    if (c->length == HEAD) return 0;
    ssize_t got = recv(c->fd, c->head + c->length, HEAD - c->length, 0);
    if (got <= 0) return 0;
    c->length += (size_t)got;
    c->head[c->length] = 0;
  }
}

static void forget(struct connection *c, size_t length) {
  c->length -= length;
  memmove(c->head, c->head + length, c->length);
  c->head[c->length] = 0;
}

static const char *header(const char *head, const char *name, char *value, size_t size) {
  size_t length = strlen(name);
  for (const char *line = strstr(head, "\r\n"); line && strncmp(line, "\r\n\r\n", 4);
       line = strstr(line + 2, "\r\n")) {
    if (strncasecmp(line + 2, name, length) || line[2 + length] != ':') continue;
    const char *start = line + 3 + length;
    start += strspn(start, " ");
    snprintf(value, size, "%.*s", (int)strcspn(start, "\r\n"), start);
    return value;
  }
  return NULL;
}

/* Returns the number of missing bytes of the body. */
static long read_body(struct connection *c, long left) {
  size_t here = (long)c->length < left ? c->length : (size_t)left;
  forget(c, here);
  left -= (long)here;
  static __thread char sink[65536];
  while (left > 0) {
    ssize_t got = recv(c->fd, sink, left < (long)sizeof sink ? (size_t)left : sizeof sink, 0);
    if (got <= 0) break;
    left -= got;
  }
  return left;
}

static void echo(struct connection *c) {
  static const char accepted[] =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n";
  count_answers(1);
  if (send_all(c->fd, accepted, sizeof accepted - 1) < 0) return count_answers(-1);
  while (c->length > 0 || recv(c->fd, c->head, 1, MSG_PEEK) > 0) {
    if (c->length == 0) {
      ssize_t got = recv(c->fd, c->head, HEAD, 0);
      if (got <= 0) return;
      c->length = (size_t)got;
    }
    if (send_all(c->fd, c->head, c->length) < 0) return;
    c->length = 0;
  }
}

static void *crash_later(void *ms) {
  pause_ms((long)ms);
  fprintf(stderr, "%s crashes\n", version);
  _exit(1);
}

static void crash_after(const char *name) {
  pthread_t thread;
  long ms = atol(setting(name, "0"));
  if (ms) pthread_create(&thread, NULL, crash_later, (void *)ms);
}

static void eat(void) {
  for (;;) {
    char *piece = malloc(1 << 20);
    if (piece) memset(piece, 1, 1 << 20);
  }
}

/* Returns whether another request may follow. */
static int serve(struct connection *c) {
  size_t length = read_head(c);
  if (length == 0) return 0;
  char head[HEAD + 1], method[16] = "", target[1024] = "", value[64];
  memcpy(head, c->head, length);
  head[length] = 0;
  forget(c, length);
  sscanf(head, "%15s %1023s", method, target);
  char *query = strchr(target, '?');
  long number = query ? atol(query + 1) : 0;
  if (query) *query = 0;
  int close_it = header(head, "Connection", value, sizeof value) && !strcasecmp(value, "close");
  if (atomic_load(&hanging)) pause();
  if (header(head, "Upgrade", value, sizeof value)) {
    echo(c);
    return 0;
  }
  long body = header(head, "Content-Length", value, sizeof value) ? atol(value) : 0;
  if (read_body(c, body) > 0) return 0;
  char text[128];
  snprintf(text, sizeof text, "%s %s", version, host);
  c->is_probe = !strcmp(target, "/health");
  if (c->is_probe) {
    if (!strcmp(method, "POST")) atomic_store(&health, (int)number);
    else if (!atomic_exchange(&is_probed, 1)) crash_after("CRASH_AFTER_PROBE");
    return answer(c, atomic_load(&health), text, close_it);
  }
  if (!strcmp(target, "/slow")) pause_ms(number);
  if (!strcmp(target, "/upload")) snprintf(text, sizeof text, "%ld", body);
  if (!strcmp(target, "/client")) snprintf(text, sizeof text, "%s", c->peer);
  if (!strcmp(target, "/exit")) {
    fprintf(stderr, "exits with %ld on request\n", number);
    _exit((int)number);
  }
  if (!strcmp(target, "/eat")) eat();
  if (!strcmp(target, "/hang")) atomic_store(&hanging, 1);
  return answer(c, 200, text, close_it);
}

/* PROXY TCP4 <source> <destination> <source port> <destination port> */
static int read_proxy_line(struct connection *c) {
  size_t at = 0;
  char line[108] = "";
  while (at < sizeof line - 1 && recv(c->fd, line + at, 1, 0) == 1) {
    if (line[at++] == '\n') break;
  }
  char address[48] = "";
  int port = 0;
  if (sscanf(line, "PROXY %*s %47s %*s %d", address, &port) != 2) return -1;
  snprintf(c->peer, sizeof c->peer, "%s:%d", address, port);
  return 0;
}

/* Before the process exits, an idle client may send a last request: it gets its response and "close". */
static void *connection(void *fd) {
  struct connection *c = calloc(1, sizeof *c);
  c->fd = (int)(long)fd;
  if (!*setting("PROXY", "") || read_proxy_line(c) == 0) {
    while (serve(c)) {
    }
  }
  shutdown(c->fd, SHUT_WR);
  char rest[1024];
  struct timeval timeout = {.tv_sec = 1};
  setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  while (recv(c->fd, rest, sizeof rest, 0) > 0) {
  }
  close(c->fd);
  free(c);
  atomic_fetch_sub(&open_connections, 1);
  return NULL;
}

static void *accept_all(void *listener) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 256 * 1024);
  for (;;) {
    int fd = accept4((int)(long)listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) return NULL;
    atomic_fetch_add(&open_connections, 1);
    pthread_t thread;
    if (pthread_create(&thread, &attributes, connection, (void *)(long)fd)) {
      close(fd);
      atomic_fetch_sub(&open_connections, 1);
    }
  }
}

static int listen_on(const char *port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 1024)) {
    perror("listen");
    exit(1);
  }
  return fd;
}

static int check(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)atoi(setting("PORT", "3000"))),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  static const char question[] = "GET /health HTTP/1.1\r\nConnection: close\r\n\r\n";
  char text[64] = "";
  if (connect(fd, (struct sockaddr *)&address, sizeof address)) return 1;
  if (send_all(fd, question, sizeof question - 1) || recv(fd, text, sizeof text - 1, 0) <= 0) return 1;
  return strncmp(text, "HTTP/1.1 200", 12) != 0;
}

static void open_counts(const char *directory) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", directory, host);
  counts = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "check")) return check();
  setvbuf(stdout, NULL, _IOLBF, 0);
  version = setting("VERSION", "unknown");
  gethostname(host, sizeof host - 1);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, NULL);
  printf("%s starts\n", version);
  int code = atoi(setting("FAIL", "0"));
  if (code) {
    fprintf(stderr, "%s cannot start: no database\n", version);
    return code;
  }
  atomic_store(&health, atoi(setting("HEALTH", "200")));
  if (*setting("COUNTS", "")) open_counts(setting("COUNTS", ""));
  pause_ms(atol(setting("START_DELAY", "0")));
  pthread_t thread;
  crash_after("CRASH_AFTER");
  if (!*setting("NO_LISTEN", "")) {
    listeners[0] = listen_on(setting("PORT", "3000"));
    if (*setting("PORT2", "")) listeners[1] = listen_on(setting("PORT2", ""));
  }
  for (int at = 0; at < 2; at++) {
    if (listeners[at] >= 0) {
      pthread_create(&thread, NULL, accept_all, (void *)(long)listeners[at]);
    }
  }
  int signal;
  do {
    sigwait(&signals, &signal);
    printf("%s got signal %d\n", version, signal);
  } while (*setting("IGNORE_TERM", ""));
  atomic_store(&ending, 1);
  for (int at = 0; at < 2; at++) {
    if (listeners[at] >= 0) shutdown(listeners[at], SHUT_RDWR);
  }
  while (atomic_load(&open_connections) > 0) pause_ms(10);
  printf("%s ends after %ld answers\n", version, answers);
  return 0;
}
