//! What may be typed about orgs: log in, look, log out.

use clap::{Args, Subcommand, ValueEnum};

use super::OrgArgs;

/// A login.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Consumer key of the app that the org knows [env: SF_CLIENT_ID=]
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// Log in to a sandbox
    #[arg(long, conflicts_with = "url")]
    pub(crate) sandbox: bool,
    /// Log in at this address, such as https://acme.my.salesforce.com [env: SF_LOGIN_URL=]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Name of the org from now on [default: the user's name]
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Make it the org of commands that name none; the first org is it by itself
    #[arg(long)]
    pub(crate) default: bool,
    /// Type a code on another device, where the org still allows that
    #[arg(long, conflicts_with_all = ["port", "callback", "no_browser"])]
    pub(crate) device: bool,
    /// Port of the app's callback, http://localhost:PORT/OauthRedirect
    #[arg(long, value_name = "PORT", default_value_t = 1717)]
    pub(crate) port: u16,
    /// The app's callback, where it is another one of this machine
    #[arg(long, value_name = "URL", conflicts_with = "port")]
    pub(crate) callback: Option<String>,
    /// Print the address, and open no browser
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// How long to wait for the browser
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub(crate) timeout: u64,
}

/// A logout.
#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// The org
    #[arg(value_name = "NAME", required_unless_present = "all")]
    pub(crate) name: Option<String>,
    /// All orgs
    #[arg(long, conflicts_with = "name")]
    pub(crate) all: bool,
    /// Forget the login, even where Salesforce cannot be asked to end it
    #[arg(long)]
    pub(crate) force: bool,
}

/// Orgs that are logged in to.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct OrgsArgs {
    #[command(subcommand)]
    pub(crate) task: Option<OrgsTask>,
    /// Print one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to do with orgs.
#[derive(Debug, Subcommand)]
pub(crate) enum OrgsTask {
    /// Make one the org of commands that name none
    Default {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// The form of what is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people
    #[default]
    Table,
    /// One object a line
    Json,
    /// Comma-separated values
    Csv,
}

/// Limits of an org.
#[derive(Debug, Args)]
pub(crate) struct LimitsArgs {
    /// All of them, not only those that loads meet
    #[arg(long)]
    pub(crate) all: bool,
    /// The form
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Form,
    #[command(flatten)]
    pub(crate) org: OrgArgs,
}

/// Objects of an org.
#[derive(Debug, Args)]
pub(crate) struct ObjectsArgs {
    /// Only those whose name or label has this in it
    #[arg(value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// Also those that nothing can be loaded into
    #[arg(long)]
    pub(crate) all: bool,
    /// The form
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Form,
    #[command(flatten)]
    pub(crate) org: OrgArgs,
}

/// Fields of an object.
#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// The object
    #[arg(value_name = "OBJECT")]
    pub(crate) object: String,
    /// Only fields that can be written
    #[arg(long)]
    pub(crate) writable: bool,
    /// The form
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Form,
    #[command(flatten)]
    pub(crate) org: OrgArgs,
}
