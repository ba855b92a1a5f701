/*
 * A stand-in for Windows' ncrypt.dll, for tests under Wine only: Wine keeps no named keys. Here each is a file below %APPDATA%\ksp, and
 * bcrypt.dll does the arithmetic. It shows that the agent makes the right calls and survives every refusal; how Windows itself behaves,
 * `tegata-agent selftest` shows on the PC.
 *
 * %APPDATA%\ksp\tpm says what the TPM does: "works", "broken" (makes keys that do not sign), "lies" (signs, but wrongly), anything else or
 * nothing: there is none.
 * %APPDATA%\ksp\asked is made when a key would have asked somebody.
 *
 *   x86_64-w64-mingw32-gcc -O1 -Wall -shared ncrypt.c -o ncrypt.dll -lbcrypt
 */
#define WIN32_LEAN_AND_MEAN /* without ncrypt.h */
#include <windows.h>
#include <bcrypt.h>
#include <wchar.h>

#define EXPORT __declspec(dllexport) LONG WINAPI
#define TPM_E_FAIL ((LONG)0x80280009)
#define SILENT 0x40
#define OVERWRITE 0x80

typedef ULONG_PTR Handle;

enum Kind { PROVIDER = 0x70726f76, KEY = 0x6b657920 };

/* What is in a key's file, with its private BLOB behind it. */
struct Head {
    WCHAR algorithm[16];
    DWORD policy, ui, size;
};

struct Object {
    enum Kind kind;
    WCHAR store[2]; /* "s" or "p" */
    WCHAR name[256];
    struct Head head;
    BYTE blob[4096];
    DWORD bits;
    BOOL is_kept;
};

static void *allocate(SIZE_T size) { return HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, size); }
static void release(void *what) { HeapFree(GetProcessHeap(), 0, what); }

static void path(WCHAR *to, const WCHAR *store, const WCHAR *name) {
    GetEnvironmentVariableW(L"APPDATA", to, MAX_PATH);
    wcscat(to, L"\\ksp"); CreateDirectoryW(to, NULL);
    if (store) { wcscat(to, L"\\"); wcscat(to, store); CreateDirectoryW(to, NULL); }
    wcscat(to, L"\\"); wcscat(to, name);
}

static BOOL tpm(char is) {
    WCHAR at[1024]; char first = 0; DWORD n;
    path(at, NULL, L"tpm");
    HANDLE file = CreateFileW(at, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    if (file != INVALID_HANDLE_VALUE) { ReadFile(file, &first, 1, &n, NULL); CloseHandle(file); }
    return first == is;
}

static struct Object *object(Handle handle, enum Kind kind) {
    struct Object *found = (struct Object *)handle;
    return found && found->kind == kind ? found : NULL;
}

static const WCHAR *blob_kind(const struct Object *key) {
    const char *magic = (const char *)key->blob;
    if (wcscmp(key->head.algorithm, L"RSA")) return BCRYPT_ECCPRIVATE_BLOB;
    return magic[3] == '3' ? BCRYPT_RSAFULLPRIVATE_BLOB : BCRYPT_RSAPRIVATE_BLOB;
}

/* Opens the arithmetic of a key, for one use. */
static LONG use(const struct Object *key, BCRYPT_ALG_HANDLE *algorithm, BCRYPT_KEY_HANDLE *handle) {
    LONG status = BCryptOpenAlgorithmProvider(algorithm, key->head.algorithm, NULL, 0);
    if (status) return status;
    return BCryptImportKeyPair(*algorithm, NULL, blob_kind(key), handle, (BYTE *)key->blob, key->head.size, 0);
}

__declspec(dllexport) int tegata_stand_in(void) { return 1; }

EXPORT NCryptOpenStorageProvider(Handle *to, const WCHAR *name, DWORD flags) {
    BOOL is_platform = name && wcsstr(name, L"Platform") != NULL;
    if (is_platform && !tpm('w') && !tpm('b') && !tpm('l')) return NTE_DEVICE_NOT_READY;
    struct Object *provider = allocate(sizeof *provider);
    provider->kind = PROVIDER;
    wcscpy(provider->store, is_platform ? L"p" : L"s");
    *to = (Handle)provider;
    return 0;
}

EXPORT NCryptCreatePersistedKey(Handle from, Handle *to, const WCHAR *algorithm, const WCHAR *name, DWORD spec, DWORD flags) {
    struct Object *provider = object(from, PROVIDER), *key;
    WCHAR at[1024];
    if (!provider) return NTE_INVALID_HANDLE;
    path(at, provider->store, name);
    if (!(flags & OVERWRITE) && GetFileAttributesW(at) != INVALID_FILE_ATTRIBUTES) return NTE_EXISTS;
    key = allocate(sizeof *key);
    key->kind = KEY;
    key->bits = !wcscmp(algorithm, L"RSA") ? 1024 : !wcscmp(algorithm, L"ECDSA_P384") ? 384 : 256;
    wcscpy(key->store, provider->store);
    wcsncpy(key->name, name, 255);
    wcsncpy(key->head.algorithm, algorithm, 15);
    *to = (Handle)key;
    return 0;
}

EXPORT NCryptSetProperty(Handle handle, const WCHAR *name, BYTE *value, DWORD size, DWORD flags) {
    struct Object *key = object(handle, KEY);
    if (!key || key->is_kept) return NTE_INVALID_HANDLE;
    if (!wcscmp(name, L"Export Policy")) key->head.policy = *(DWORD *)value;
    else if (!wcscmp(name, L"Length")) key->bits = *(DWORD *)value;
    else if (!wcscmp(name, L"UI Policy")) key->head.ui = ((DWORD *)value)[1];
    else if (!wcscmp(name, L"PRIVATEBLOB") && size <= sizeof key->blob) { memcpy(key->blob, value, size); key->head.size = size; }
    else return NTE_NOT_SUPPORTED;
    return 0;
}

static LONG make(struct Object *key) {
    BCRYPT_ALG_HANDLE algorithm; BCRYPT_KEY_HANDLE handle; DWORD size = sizeof key->blob;
    const WCHAR *kind = wcscmp(key->head.algorithm, L"RSA") ? BCRYPT_ECCPRIVATE_BLOB : BCRYPT_RSAFULLPRIVATE_BLOB;
    LONG status = BCryptOpenAlgorithmProvider(&algorithm, key->head.algorithm, NULL, 0);
    if (!status) status = BCryptGenerateKeyPair(algorithm, &handle, key->bits, 0);
    if (!status) status = BCryptFinalizeKeyPair(handle, 0);
    if (!status) status = BCryptExportKey(handle, NULL, kind, key->blob, size, &key->head.size, 0);
    if (status) return status;
    BCryptDestroyKey(handle);
    BCryptCloseAlgorithmProvider(algorithm, 0);
    return 0;
}

EXPORT NCryptFinalizeKey(Handle handle, DWORD flags) {
    struct Object *key = object(handle, KEY);
    BCRYPT_ALG_HANDLE algorithm; BCRYPT_KEY_HANDLE check; WCHAR at[1024]; DWORD n; LONG status;
    if (!key || key->is_kept) return NTE_INVALID_HANDLE;
    if (!key->head.size && (status = make(key))) return status;
    if ((status = use(key, &algorithm, &check))) return status;
    BCryptDestroyKey(check); BCryptCloseAlgorithmProvider(algorithm, 0);
    path(at, key->store, key->name);
    HANDLE file = CreateFileW(at, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    if (file == INVALID_HANDLE_VALUE) return NTE_FAIL;
    WriteFile(file, &key->head, sizeof key->head, &n, NULL);
    WriteFile(file, key->blob, key->head.size, &n, NULL);
    CloseHandle(file);
    key->is_kept = TRUE;
    return 0;
}

EXPORT NCryptOpenKey(Handle from, Handle *to, const WCHAR *name, DWORD spec, DWORD flags) {
    struct Object *provider = object(from, PROVIDER), *key;
    WCHAR at[1024]; DWORD n;
    if (!provider) return NTE_INVALID_HANDLE;
    path(at, provider->store, name);
    HANDLE file = CreateFileW(at, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE) return NTE_BAD_KEYSET;
    key = allocate(sizeof *key);
    key->kind = KEY;
    key->is_kept = TRUE;
    wcscpy(key->store, provider->store);
    wcsncpy(key->name, name, 255);
    ReadFile(file, &key->head, sizeof key->head, &n, NULL);
    ReadFile(file, key->blob, sizeof key->blob, &n, NULL);
    CloseHandle(file);
    *to = (Handle)key;
    return 0;
}

EXPORT NCryptGetProperty(Handle handle, const WCHAR *name, BYTE *to, DWORD size, DWORD *used, DWORD flags) {
    struct Object *key = object(handle, KEY);
    const void *value; DWORD length, ui[10] = {1};
    if (!key) return NTE_INVALID_HANDLE;
    ui[1] = key->head.ui;
    if (!wcscmp(name, L"Algorithm Name")) { value = key->head.algorithm; length = 2 * (wcslen(key->head.algorithm) + 1); }
    else if (!wcscmp(name, L"Export Policy")) { value = &key->head.policy; length = sizeof key->head.policy; }
    else if (!wcscmp(name, L"UI Policy") && key->head.ui) { value = ui; length = 32; }
    else return NTE_NOT_FOUND;
    *used = length;
    if (to && size < length) return NTE_BUFFER_TOO_SMALL;
    if (to) memcpy(to, value, length);
    return 0;
}

EXPORT NCryptSignHash(Handle handle, void *padding, BYTE *hash, DWORD hash_size, BYTE *to, DWORD size, DWORD *used, DWORD flags) {
    struct Object *key = object(handle, KEY);
    BCRYPT_ALG_HANDLE algorithm; BCRYPT_KEY_HANDLE arithmetic; LONG status; WCHAR at[1024];
    if (!key || !key->is_kept) return NTE_INVALID_HANDLE;
    if (key->head.ui && (flags & SILENT)) return NTE_SILENT_CONTEXT;
    if (key->head.ui) {
        path(at, NULL, L"asked");
        CloseHandle(CreateFileW(at, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL));
        return NTE_USER_CANCELLED;
    }
    if (key->store[0] == 'p' && tpm('b')) return TPM_E_FAIL;
    if ((status = use(key, &algorithm, &arithmetic))) return status;
    status = BCryptSignHash(arithmetic, padding, hash, hash_size, to, size, used, flags & ~SILENT);
    if (!status && to && key->store[0] == 'p' && tpm('l')) to[*used - 1] ^= 1;
    BCryptDestroyKey(arithmetic);
    BCryptCloseAlgorithmProvider(algorithm, 0);
    return status;
}

EXPORT NCryptExportKey(Handle handle, Handle with, const WCHAR *kind, void *list, BYTE *to, DWORD size, DWORD *used, DWORD flags) {
    struct Object *key = object(handle, KEY);
    BCRYPT_ALG_HANDLE algorithm; BCRYPT_KEY_HANDLE arithmetic; LONG status;
    if (!key || !key->is_kept) return NTE_INVALID_HANDLE;
    if (!wcsstr(kind, L"PUBLIC") && !(key->head.policy & 2)) return NTE_NOT_SUPPORTED;
    if (!wcscmp(kind, L"PRIVATEBLOB")) kind = blob_kind(key);
    if ((status = use(key, &algorithm, &arithmetic))) return status;
    status = BCryptExportKey(arithmetic, NULL, kind, to, size, used, 0);
    BCryptDestroyKey(arithmetic);
    BCryptCloseAlgorithmProvider(algorithm, 0);
    return status;
}

EXPORT NCryptDeleteKey(Handle handle, DWORD flags) {
    struct Object *key = object(handle, KEY);
    WCHAR at[1024];
    if (!key) return NTE_INVALID_HANDLE;
    path(at, key->store, key->name);
    if (!DeleteFileW(at)) return NTE_BAD_KEYSET;
    key->kind = 0;
    release(key);
    return 0;
}

/* NCryptKeyName */
struct Name { WCHAR *name, *algorithm; DWORD spec, flags; WCHAR text[256]; };
struct Listing { DWORD at, count; WCHAR names[256][256]; };

EXPORT NCryptEnumKeys(Handle from, const WCHAR *scope, struct Name **to, struct Listing **state, DWORD flags) {
    struct Object *provider = object(from, PROVIDER);
    WIN32_FIND_DATAW found; WCHAR at[1024];
    if (!provider) return NTE_INVALID_HANDLE;
    if (!*state) {
        *state = allocate(sizeof **state);
        path(at, provider->store, L"*");
        HANDLE find = FindFirstFileW(at, &found);
        if (find != INVALID_HANDLE_VALUE) {
            do {
                if (!(found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) && (*state)->count < 256)
                    wcsncpy((*state)->names[(*state)->count++], found.cFileName, 255);
            } while (FindNextFileW(find, &found));
            FindClose(find);
        }
    }
    if ((*state)->at == (*state)->count) return NTE_NO_MORE_ITEMS;
    struct Name *name = allocate(sizeof *name);
    wcscpy(name->text, (*state)->names[(*state)->at++]);
    name->name = name->text;
    name->algorithm = name->text;
    *to = name;
    return 0;
}

EXPORT NCryptFreeBuffer(void *what) {
    if (what) release(what);
    return 0;
}

EXPORT NCryptFreeObject(Handle handle) {
    struct Object *what = (struct Object *)handle;
    if (!what || (what->kind != KEY && what->kind != PROVIDER)) return NTE_INVALID_HANDLE;
    what->kind = 0;
    release(what);
    return 0;
}
