Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
Answer 'fact os windows'
$arch = @{ AMD64 = 'x86_64'; ARM64 = 'aarch64' }[$env:PROCESSOR_ARCHITECTURE]
if (-not $arch) { $arch = 'other' }
Answer "fact arch $arch"
Answer 'fact init services'
Answer "fact user $env:USERNAME"
Answer "fact home $env:USERPROFILE"
$me = [Security.Principal.WindowsPrincipal]::new([Security.Principal.WindowsIdentity]::GetCurrent())
if ($me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) { Answer 'fact administrator yes' } else { Answer 'fact administrator no' }
$chrome = @($env:ProgramFiles, ${env:ProgramFiles(x86)}, $env:LOCALAPPDATA) | Where-Object { $_ -and (Test-Path -LiteralPath (Join-Path $_ 'Google\Chrome\Application\chrome.exe')) }
if ($chrome) { Answer 'fact chrome yes' } else { Answer 'fact chrome no' }
Answer 'fact nss no'
Answer 'fact dpkg no'
