/* still.c: see still.h. A sleep that nobody will end moves the clock to its end; random bytes come from a
 * counter; a password's hash is a checksum of it; a sync does nothing; standard error is memory. */
#include "still.h"

#include "fuzz.h"

#include <crypt.h>
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { SECOND = 1000000000, UPTIME = 5000, TODAY = 1795000000 };

static int64_t passed; /* nanoseconds since still_begin */
static uint64_t drawn;
static char said[STILL_SAID];
static size_t said_length;

int still_clock_gettime(clockid_t id, struct timespec *now);
time_t still_time(time_t *seconds);
int still_sem_clockwait(sem_t *semaphore, clockid_t id, const struct timespec *until);
int still_ppoll(struct pollfd *polls, nfds_t count, const struct timespec *limit, const sigset_t *mask);
ssize_t still_getrandom(void *bytes, size_t length, unsigned flags);
char *still_crypt_rn(const char *phrase, const char *setting, void *data, int size);
char *still_crypt_gensalt_rn(const char *prefix, unsigned long cost, const char *random, int random_length,
                             char *setting, int size);
ssize_t still_write(int descriptor, const void *bytes, size_t length);
int still_fsync(int descriptor);
int still_fdatasync(int descriptor);

void still_begin(void)
{
    passed = 0;
    drawn = 0;
    said_length = 0;
}

const char *still_said(size_t *length)
{
    *length = said_length;
    return said;
}

int still_clock_gettime(clockid_t id, struct timespec *now)
{
    now->tv_sec = (id == CLOCK_REALTIME ? TODAY : UPTIME) + passed / SECOND;
    now->tv_nsec = passed % SECOND;
    return 0;
}

time_t still_time(time_t *seconds)
{
    time_t now = TODAY + passed / SECOND;
    if (seconds)
        *seconds = now;
    return now;
}

int still_sem_clockwait(sem_t *semaphore, clockid_t id, const struct timespec *until)
{
    struct timespec now;
    still_clock_gettime(id, &now);
    if (sem_trywait(semaphore) == 0)
        return 0;
    int64_t left = ((int64_t)until->tv_sec - now.tv_sec) * SECOND + until->tv_nsec - now.tv_nsec;
    passed += left > 0 ? left : 0;
    errno = ETIMEDOUT;
    return -1;
}

int still_ppoll(struct pollfd *polls, nfds_t count, const struct timespec *limit, const sigset_t *mask)
{
    (void)mask;
    int ready = poll(polls, count, 0);
    if (ready == 0) {
        EXPECT(limit != NULL); /* it would sleep for ever */
        passed += (int64_t)limit->tv_sec * SECOND + limit->tv_nsec;
    }
    return ready;
}

ssize_t still_getrandom(void *bytes, size_t length, unsigned flags)
{
    (void)flags;
    for (size_t i = 0; i < length; i++) {
        uint64_t word = ++drawn * UINT64_C(0x9e3779b97f4a7c15);
        ((uint8_t *)bytes)[i] = (uint8_t)((word ^ word >> 29) >> 32);
    }
    return (ssize_t)length;
}

/* Of "$y$COST$SALT$HASH" everything before the hash is the setting. */
char *still_crypt_rn(const char *phrase, const char *setting, void *data, int size)
{
    size_t length = strlen(setting);
    const char *end = setting;
    uint64_t sum = 0xcbf29ce484222325u;
    for (int part = 0; part < 4 && end; part++)
        end = strchr(end + (part > 0), '$');
    for (; *phrase; phrase++)
        sum = (sum ^ (unsigned char)*phrase) * 0x100000001b3u;
    if (end)
        length = (size_t)(end - setting);
    struct crypt_data *result = data;
    EXPECT(size >= (int)sizeof(*result));
    snprintf(result->output, sizeof(result->output), "%.*s$%016llx", (int)length, setting,
             (unsigned long long)sum);
    return result->output;
}

char *still_crypt_gensalt_rn(const char *prefix, unsigned long cost, const char *random, int random_length,
                             char *setting, int size)
{
    (void)random;
    EXPECT(random_length >= 16);
    int length = snprintf(setting, (size_t)size, "%sj%luT$salt", prefix, cost);
    return length > 0 && length < size ? setting : NULL;
}

ssize_t still_write(int descriptor, const void *bytes, size_t length)
{
    if (descriptor != STDERR_FILENO)
        return write(descriptor, bytes, length);
    size_t kept = length < sizeof(said) - said_length ? length : sizeof(said) - said_length;
    memcpy(said + said_length, bytes, kept);
    said_length += kept;
    return (ssize_t)length;
}

int still_fsync(int descriptor)
{
    (void)descriptor;
    return 0;
}

int still_fdatasync(int descriptor)
{
    (void)descriptor;
    return 0;
}
