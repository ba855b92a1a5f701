/* Opens a bundle as Windows programs do, in memory only: pfximport FILE PASSWORD. Prints the subject of each certificate that came with its key. */
#define UNICODE
#include <windows.h>
#include <wincrypt.h>
#include <stdio.h>

static BYTE file[1 << 20];

int main(int count, char **words) {
    wchar_t password[256];
    FILE *handle = count == 3 ? fopen(words[1], "rb") : NULL;
    if (!handle) return 2;
    CRYPT_DATA_BLOB blob = {(DWORD)fread(file, 1, sizeof file, handle), file};
    if (!PFXIsPFXBlob(&blob)) return 3;
    MultiByteToWideChar(CP_UTF8, 0, words[2], -1, password, 256);
    HCERTSTORE store = PFXImportCertStore(&blob, password, CRYPT_USER_KEYSET);
    if (!store) return 4;
    PCCERT_CONTEXT certificate = NULL;
    while ((certificate = CertEnumCertificatesInStore(store, certificate))) {
        char subject[256] = "";
        DWORD size = 0;
        CertNameToStrA(X509_ASN_ENCODING, &certificate->pCertInfo->Subject, CERT_X500_NAME_STR, subject, sizeof subject);
        if (CertGetCertificateContextProperty(certificate, CERT_KEY_PROV_INFO_PROP_ID, NULL, &size)) printf("with key: %s\n", subject);
    }
    return 0;
}
