Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
# A file goes by the very handle that it was hashed by, which is shared with nobody: in between it cannot be written, renamed or replaced.
$disk = Add-Type -PassThru -Namespace Tegata -Name Disk -MemberDefinition @'
[DllImport("kernel32.dll", SetLastError = true)]
public static extern bool SetFileInformationByHandle(Microsoft.Win32.SafeHandles.SafeFileHandle file, int what, ref byte how, int size);
[DllImport("kernel32.dll", SetLastError = true, CharSet = CharSet.Unicode)]
public static extern int GetFinalPathNameByHandle(Microsoft.Win32.SafeHandles.SafeFileHandle file, System.Text.StringBuilder path, int size, int how);
'@
$hashes = $values.hashes -split ' '
$sha = [Security.Cryptography.SHA256]::Create()
$sid = [Security.Principal.SecurityIdentifier]
$me = [Security.Principal.WindowsIdentity]::GetCurrent()
# FILE_INFO_BY_HANDLE_CLASS, FileDispositionInfo.
$disposition = 4
# 'other', 'ours', or why one of ours stays.
function Settle($path, $owners) {
    $rights = [Security.AccessControl.FileSystemRights]'Read, Delete'
    try {
        $file = [IO.FileStream]::new($path, [IO.FileMode]::Open, $rights, [IO.FileShare]::None, 4096, [IO.FileOptions]::None)
    } catch [IO.IOException] {
        return 'cannot be looked at: another program has it open'
    }
    try {
        $hash = -join ($sha.ComputeHash($file) | ForEach-Object { $_.ToString('x2') })
        if ($hash -notin $hashes) { return 'other' }
        $text = [Text.StringBuilder]::new(32768)
        [void]$disk::GetFinalPathNameByHandle($file.SafeFileHandle, $text, $text.Capacity, 0)
        if ($text.ToString() -ne "\\?\$path") { return "lies behind a link, as $text" }
        if ($file.GetAccessControl().GetOwner($sid) -notin $owners) { return 'belongs to somebody else' }
        if ($values.step -ne 'apply') { return 'ours' }
        [IO.File]::SetAttributes($path, [IO.FileAttributes]::Normal)
        $yes = [byte]1
        if ($disk::SetFileInformationByHandle($file.SafeFileHandle, $disposition, [ref]$yes, 1)) { return 'ours' }
        return 'cannot be removed'
    } finally {
        $file.Dispose()
    }
}
$found = $false
$left = $false
for ($number = 0; Has "folder.$number"; $number++) {
    $folder = $values."folder.$number"
    if (-not (Test-Path -LiteralPath $folder -PathType Container)) { continue }
    $owners = @((Get-Acl -LiteralPath $folder).GetOwner($sid), $me.User, $me.Owner)
    $files = Get-ChildItem -LiteralPath $folder -File -Force | Where-Object { $_.Extension -in '.p12', '.pfx' -and $_.LinkType -ne 'SymbolicLink' }
    foreach ($one in $files) {
        $word = Settle $one.FullName $owners
        if ($word -eq 'other') { continue }
        if ($word -eq 'ours') { $found = $true } else { Tell "$($one.FullName) $word"; $left = $true }
    }
}
if ($left) { Refuse 'task-failed' }
if ($found) { Answer 'changed' } else { Answer 'unchanged' }
