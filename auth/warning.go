package auth

// Kinds of notices about passwords, recovery codes and wrong codes.
const (
	NoticePasswordChanged  NoticeKind = "password_changed"  // detail: sessions, how many others ended
	NoticeSignInReset      NoticeKind = "sign_in_reset"     // detail: by, the administrator's address
	NoticeRecoveryUsed     NoticeKind = "recovery_used"     // detail: left, how many are left
	NoticeRecoveryReplaced NoticeKind = "recovery_replaced" // the old set is void
	NoticeWrongCodes       NoticeKind = "wrong_codes"       // detail: codes, how many since the last sign-in
	NoticeCodesStopped     NoticeKind = "codes_stopped"     // codes of the app are refused
)
