/* limit_copy.c: what moving a text costs at least: limit_copy BYTES SECONDS.
 *
 * Copies texts of BYTES one after the other from one place into a room that no cache holds, as deliveries do,
 * and prints the rate as a line of JSON. */
#include "limit_program.h"

enum { ROOM = 256 << 20, BETWEEN_LOOKS = 64 };

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: limit_copy BYTES SECONDS\n", stderr);
        return 64;
    }
    size_t bytes = number_argument(argv[1]);
    double seconds = strtod(argv[2], NULL);
    char *room = malloc(ROOM);
    char *text = malloc(bytes);
    if (bytes > ROOM / 2 || room == NULL || text == NULL)
        fail("malloc");
    memset(room, 0, ROOM); /* the pages are there before the clock starts */
    memset(text, 'x', bytes);
    unsigned long copies = 0;
    size_t place = 0;
    double start = now();
    double spent;
    do {
        for (int i = 0; i < BETWEEN_LOOKS; i++, copies++) {
            place = place + bytes > ROOM - bytes ? 0 : place + bytes;
            memcpy(room + place, text, bytes);
        }
        spent = now() - start;
    } while (spent < seconds);
    printf("{\"requests\": %lu, \"seconds\": %.6f, \"rate\": %.1f, \"last\": \"%c\"}\n", copies, spent,
           (double)copies / spent, room[place]);
    free(room);
    free(text);
    return 0;
}
