/* Stands in for the libcurl that mongod 5.0 was built against, whose symbols Debian calls by a newer version now.
 *
 * That mongod only loads it for free monitoring, which is off: nothing here reaches anybody.
 */

static const char *const protocols[] = {"https", 0};
static struct {
    int age;
    const char *version;
    unsigned number;
    const char *host;
    int features;
    const char *ssl;
    long ssl_number;
    const char *libz;
    const char *const *protocols;
    const void *later[32];
} described = {0, "7.0.0", 0x070000, "none", -1, "none", 0, "none", protocols, {0}};

static const int failed = 2;

int curl_global_init(long flags) { return 0; }
void curl_global_cleanup(void) {}
const void *curl_version_info(int age) { return &described; }
void *curl_easy_init(void) { return 0; }
void curl_easy_cleanup(void) {}
int curl_easy_setopt(void) { return failed; }
int curl_easy_getinfo(void) { return failed; }
int curl_easy_perform(void) { return failed; }
const char *curl_easy_strerror(int code) { return "there is no libcurl"; }
void *curl_slist_append(void) { return 0; }
void curl_slist_free_all(void) {}
