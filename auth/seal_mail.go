package auth

// SealMail encrypts what a mail says until it is sent, bound to the mail's id.
func (s *Service) SealMail(id string, plain []byte) []byte {
	return s.seal.seal("mail", "text", id, plain)
}

// OpenMail decrypts what SealMail made for the same id.
func (s *Service) OpenMail(id string, sealed []byte) ([]byte, error) {
	return s.seal.open("mail", "text", id, sealed)
}
