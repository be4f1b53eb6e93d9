//! Names of error numbers, which libc can describe but not name.

use rustix::io::Errno;

macro_rules! names {
    ($($name:ident)*) => { &[$((stringify!($name), libc::$name)),*] };
}

const NAMES: &[(&str, i32)] = names![
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK
    EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS
    EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP ENOMSG EIDRM ECHRNG
    EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ENOCSI EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT EBFONT
    ENOSTR ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE ENOLINK EADV ESRMNT ECOMM EPROTO EMULTIHOP EDOTDOT
    EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD ELIBSCN ELIBMAX ELIBEXEC EILSEQ ERESTART
    ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT
    EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET
    ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED
    EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM EREMOTEIO EDQUOT
    ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED EOWNERDEAD ENOTRECOVERABLE
    ERFKILL EHWPOISON
];

/// `ENOENT (No such file or directory)`.
pub fn describe(errno: Errno) -> String {
    let number = errno.raw_os_error();
    let text = without_numbers(&std::io::Error::from(errno).to_string());
    match NAMES.iter().find(|(_, known)| *known == number) {
        Some((name, _)) => format!("{name} ({text})"),
        None => format!("error {number} ({text})"),
    }
}

/// A message without the numbers that the standard library puts behind a system call's error.
pub fn without_numbers(message: &str) -> String {
    let mut parts = message.split(" (os error ");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    parts.for_each(|part| plain.push_str(part.split_once(')').map_or(part, |(_, rest)| rest)));
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_no_numbers() {
        assert_eq!(without_numbers("/x: No such file (os error 2); see"), "/x: No such file; see");
        assert_eq!(without_numbers("a (os error 1), b (os error 13)"), "a, b");
        assert_eq!(without_numbers("plain"), "plain");
    }

    #[test]
    fn every_number_has_one_name() {
        assert_eq!(describe(Errno::NOENT), "ENOENT (No such file or directory)");
        assert_eq!(describe(Errno::OPNOTSUPP), "EOPNOTSUPP (Operation not supported)");
        assert_eq!(describe(Errno::from_raw_os_error(4000)), "error 4000 (Unknown error 4000)");
        let mut numbers: Vec<i32> = NAMES.iter().map(|(_, number)| *number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), NAMES.len());
    }
}
