Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
[Console]::OutputEncoding = [Text.UTF8Encoding]::new($false)
function Answer($text) { [Console]::Out.Write("tegata: $text`n") }
function Refuse($word) { Answer "refused $word"; exit 1 }
function Tell($text) { [Console]::Out.Write("$text`n") }
function HashOf($path) { (Get-FileHash -LiteralPath $path -Algorithm SHA256).Hash.ToLowerInvariant() }
function Has($name) { $null -ne $values.PSObject.Properties[$name] }
function Start-Program($program, $arguments, $text) {
    $start = [Diagnostics.ProcessStartInfo]::new($program, $arguments)
    $start.UseShellExecute = $false
    $start.RedirectStandardInput = $true
    $start.RedirectStandardOutput = $true
    $process = [Diagnostics.Process]::Start($start)
    $process.StandardInput.Write($text)
    $process.StandardInput.Close()
    $printed = $process.StandardOutput.ReadToEnd()
    $process.WaitForExit()
    @{ Code = $process.ExitCode; Printed = $printed }
}
$stream = [Console]::OpenStandardInput()
$line = [IO.MemoryStream]::new()
while (($byte = $stream.ReadByte()) -ge 0 -and $byte -ne 10) { $line.WriteByte($byte) }
try {
    $values = ConvertFrom-Json ([Text.Encoding]::UTF8.GetString($line.ToArray()))
    & ([ScriptBlock]::Create($values.'tegata.script'))
} catch {
    Tell $_
    $why = $_.Exception.GetBaseException()
    if ($why -is [UnauthorizedAccessException]) { Refuse 'forbidden' }
    if (($why.HResult -band 0xFFFF) -in 39, 112) { Refuse 'disk-full' }
    exit 1
}
