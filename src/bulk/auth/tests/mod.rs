mod flows;
mod logins;
