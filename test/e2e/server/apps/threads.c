/*
 * A thread for each listener that blocks in accept(), and one for each connection, which is kept
 * alive. Supports only server-starter's protocol; with -DLISTEN_FDS_ONLY only systemd's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_LISTENERS 16
#define IDLE_GRACE_MS 300

static char version[64] = "unknown";
static atomic_int stopping, live;
static atomic_long accepted, answered;

static void nothing(int signal) { (void)signal; }

static void read_version(void) {
  char path[PATH_MAX + 32];
  ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
  if (length < 0) return;
  path[length] = 0;
  strcat(dirname(path), "/../version.txt");
  FILE *file = fopen(path, "r");
  if (file == NULL) return;
  if (fscanf(file, "%63s", version) != 1) strcpy(version, "unknown");
  fclose(file);
}

static void report(const char *event) {
  char line[256];
  int length = snprintf(line, sizeof line,
      "{\"event\":\"%s\",\"version\":\"%s\",\"pid\":%d,\"accepted\":%ld,\"answered\":%ld}\n", event, version,
      getpid(), atomic_load(&accepted), atomic_load(&answered));
  const char *path = getenv("APP_REPORT");
  int fd = path == NULL ? -1 : open(path, O_WRONLY | O_APPEND | O_CREAT, 0644);
  if (fd >= 0) {
    if (write(fd, line, length) != length) perror("report");
    close(fd);
  }
  if (write(1, line, length) != length) perror("stdout");
}

static void sleep_ms(long ms) {
  struct timespec left = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) continue;
}

/* Reads one request: 1, or 0 when there is none to come. */
static int read_request(int fd, char *buffer, size_t size) {
  size_t length = 0;
  int idle = 0;
  for (;;) {
    struct pollfd waiting = {fd, POLLIN, 0};
    int ready = poll(&waiting, 1, 50);
    if (ready < 0 && errno != EINTR) return 0;
    if (ready <= 0) {
      if (length == 0 && atomic_load(&stopping) && (idle += 50) > IDLE_GRACE_MS) return 0;
      continue;
    }
    ssize_t got = read(fd, buffer + length, size - 1 - length);
    if (got <= 0) return 0;
    length += got;
    buffer[length] = 0;
    if (strstr(buffer, "\r\n\r\n") != NULL) return 1;
    if (length == size - 1) return 0;
  }
}

static void *serve(void *argument) {
  int fd = (int)(long)argument;
  char request[4096], response[256];
  while (read_request(fd, request, sizeof request)) {
    long ms = 0;
    if (sscanf(request, "GET /slow?ms=%ld", &ms) == 1) sleep_ms(ms);
    int last = atomic_load(&stopping) || strcasestr(request, "\r\nconnection: close") != NULL;
    int length = snprintf(response, sizeof response, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: %s\r\n\r\n%s",
        strlen(version), last ? "close" : "keep-alive", version);
    if (write(fd, response, length) != length) break;
    atomic_fetch_add(&answered, 1);
    if (last) break;
  }
  close(fd);
  atomic_fetch_sub(&live, 1);
  return NULL;
}

static void *accept_connections(void *argument) {
  int listener = (int)(long)argument;
  while (!atomic_load(&stopping)) {
    int connection = accept(listener, NULL, NULL);
    if (connection < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      perror("accept");
      exit(1);
    }
    atomic_fetch_add(&accepted, 1);
    atomic_fetch_add(&live, 1);
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve, (void *)(long)connection) != 0) exit(1);
    pthread_detach(thread);
  }
  return NULL;
}

#ifdef LISTEN_FDS_ONLY
static int find_listeners(int *listeners) {
  const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
  if (pid == NULL || count == NULL || atoi(pid) != getpid()) return 0;
  for (int i = 0; i < atoi(count); i++) listeners[i] = 3 + i;
  return atoi(count);
}
#else
static int find_listeners(int *listeners) {
  const char *at = getenv("SERVER_STARTER_PORT");
  int count = 0;
  for (; at != NULL && (at = strchr(at, '=')) != NULL; at++) listeners[count++] = atoi(at + 1);
  return count;
}
#endif

int main(void) {
  int listeners[MAX_LISTENERS], wanted;
  pthread_t threads[MAX_LISTENERS];
  sigset_t term;
  read_version();
  signal(SIGPIPE, SIG_IGN);
  sigaction(SIGUSR2, &(struct sigaction){.sa_handler = nothing}, NULL);
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &term, NULL);
  int count = find_listeners(listeners);
  if (count == 0) {
    fprintf(stderr, "no listening socket was passed\n");
    return 1;
  }
  for (int i = 0; i < count; i++)
    if (pthread_create(&threads[i], NULL, accept_connections, (void *)(long)listeners[i]) != 0) return 1;
  report("started");
  sigwait(&term, &wanted);
  atomic_store(&stopping, 1);
  /* A thread that is just about to block would miss one wake-up. */
  for (int i = 0; i < count; i++)
    while (pthread_kill(threads[i], SIGUSR2) == 0 && pthread_tryjoin_np(threads[i], NULL) != 0) sleep_ms(10);
  while (atomic_load(&live) > 0) sleep_ms(10);
  report("stopped");
  return 0;
}
