Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
function Present {
    $sha = [Security.Cryptography.SHA256]::Create()
    foreach ($one in (Get-ChildItem Cert:\CurrentUser\My)) {
        $hash = -join ($sha.ComputeHash($one.RawData) | ForEach-Object { $_.ToString('x2') })
        if ($hash -eq $values.fingerprint -and $one.HasPrivateKey) { return $true }
    }
    $false
}
if (Present) { Answer 'unchanged'; exit 0 }
if ($values.step -ne 'apply') { Answer 'changed'; exit 0 }
$bytes = [IO.MemoryStream]::new()
$stream.CopyTo($bytes)
# PersistKeySet and UserKeySet; not Exportable.
$flags = [Security.Cryptography.X509Certificates.X509KeyStorageFlags]'PersistKeySet,UserKeySet'
$certificate = [Security.Cryptography.X509Certificates.X509Certificate2]::new($bytes.ToArray(), $values.password, $flags)
$store = [Security.Cryptography.X509Certificates.X509Store]::new('My', 'CurrentUser')
$store.Open('ReadWrite')
try { $store.Add($certificate) } finally { $store.Close() }
if (-not (Present)) { Tell 'it was taken, and is not there'; Refuse 'task-failed' }
Answer 'changed'
