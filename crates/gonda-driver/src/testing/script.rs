//! What runs a script: names of interpreters, as CEP 14's `interpreter` and file extensions have them.

use std::path::Path;

use rattler_conda_types::Subdir;

/// What a script is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptKind {
    /// `bash`.
    Bash,
    /// `cmd.exe`.
    Cmd,
    /// `pwsh`, else `powershell`.
    PowerShell,
    /// `nu`.
    Nushell,
    /// `python`.
    Python,
    /// `perl`.
    Perl,
    /// `Rscript`.
    R,
    /// `ruby`.
    Ruby,
    /// `node`.
    Node,
    /// `lua`.
    Lua,
}

impl ScriptKind {
    /// By the name that recipes use; upper case is as good as lower case.
    #[must_use]
    pub fn by_interpreter(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "bash" | "sh" => Self::Bash,
            "cmd" | "cmd.exe" => Self::Cmd,
            "powershell" | "pwsh" => Self::PowerShell,
            "nushell" | "nu" => Self::Nushell,
            "python" => Self::Python,
            "perl" => Self::Perl,
            "rscript" | "r" => Self::R,
            "ruby" => Self::Ruby,
            "node" | "nodejs" => Self::Node,
            "lua" => Self::Lua,
            _ => return None,
        })
    }

    /// By a file's extension.
    #[must_use]
    pub fn by_extension(file: &Path) -> Option<Self> {
        Some(match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "sh" | "bash" => Self::Bash,
            "bat" | "cmd" => Self::Cmd,
            "ps1" => Self::PowerShell,
            "nu" => Self::Nushell,
            "py" => Self::Python,
            "pl" => Self::Perl,
            "r" => Self::R,
            "rb" => Self::Ruby,
            "js" => Self::Node,
            "lua" => Self::Lua,
            _ => return None,
        })
    }

    /// The shell of a platform.
    #[must_use]
    pub fn shell(platform: Subdir) -> Self {
        if platform.is_windows() { Self::Cmd } else { Self::Bash }
    }

    /// Programs that run such a script, the first that is on PATH.
    #[must_use]
    pub fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Bash => &["bash"],
            Self::Cmd => &["cmd"],
            Self::PowerShell => &["pwsh", "powershell"],
            Self::Nushell => &["nu"],
            Self::Python => &["python"],
            Self::Perl => &["perl"],
            Self::R => &["Rscript"],
            Self::Ruby => &["ruby"],
            Self::Node => &["node"],
            Self::Lua => &["lua"],
        }
    }

    /// Arguments before the script's name. A shell stops at the first command that fails and shows what it runs.
    #[must_use]
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Bash => &["-e", "-x"],
            Self::Cmd => &["/d", "/c"],
            Self::PowerShell => &["-NoLogo", "-NonInteractive", "-File"],
            // Not the user's own site-packages.
            Self::Python => &["-s"],
            Self::Nushell | Self::Perl | Self::R | Self::Ruby | Self::Node | Self::Lua => &[],
        }
    }

    /// The extension that such a script's file needs.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Bash => "sh",
            Self::Cmd => "bat",
            Self::PowerShell => "ps1",
            Self::Nushell => "nu",
            Self::Python => "py",
            Self::Perl => "pl",
            Self::R => "R",
            Self::Ruby => "rb",
            Self::Node => "js",
            Self::Lua => "lua",
        }
    }

    /// Commands as one script. `cmd` doesn't stop by itself at a command that fails.
    #[must_use]
    pub(super) fn join(self, commands: &[String]) -> String {
        let mut text = String::new();
        for command in commands {
            text.push_str(command);
            text.push('\n');
            if self == Self::Cmd {
                text.push_str("if %errorlevel% neq 0 exit /b %errorlevel%\n");
            }
        }
        text
    }

    /// The text as it is written to the file: PowerShell is told to stop at errors, its own and programs', and batch
    /// files have the line ends that `cmd` wants.
    #[must_use]
    pub(super) fn file_text(self, text: &str) -> String {
        match self {
            Self::PowerShell => {
                let stop = "$ErrorActionPreference = 'Stop'\n$PSNativeCommandUseErrorActionPreference = $true\n";
                format!("{stop}{text}")
            }
            Self::Cmd => text.replace("\r\n", "\n").replace('\n', "\r\n"),
            _ => text.to_owned(),
        }
    }
}
