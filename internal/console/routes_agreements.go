package console

// bodyOfAgreement bounds a posted text, which a form writes in up to three bytes a byte.
const bodyOfAgreement = 1 << 20

// agreementRoutes is the table of the pages about agreements. Whoever changes
// one gives a fresh code: a text that nobody read could be put before everybody.
func (c *Console) agreementRoutes() []route {
	return []route{
		{pattern: "GET /console/agreements", need: mayReview, handle: c.agreementsList},
		{pattern: "GET /console/agreements/{name}", need: mayReview, handle: c.agreementRecord},
		{pattern: "GET /console/agreements/{name}/versions/{version}", need: mayReview, handle: c.agreementVersion},
		{pattern: "GET /console/agreements/{name}/statement.txt", need: mayReview, handle: c.agreementStatement},
		{pattern: "GET /console/agreements/new", need: mayManage, handle: dangerous(c.newAgreementForm)},
		{pattern: "POST /console/agreements/new", need: mayManage, handle: dangerous(c.newAgreement), maxBody: bodyOfAgreement},
		{pattern: "GET /console/agreements/{name}/edit", need: mayManage, handle: dangerous(c.editAgreementForm)},
		{pattern: "POST /console/agreements/{name}/edit", need: mayManage, handle: dangerous(c.editAgreement), maxBody: bodyOfAgreement},
		{pattern: "GET /console/agreements/{name}/remove", need: mayManage, handle: dangerous(c.askRemoveAgreement)},
		{pattern: "POST /console/agreements/{name}/remove", need: mayManage, handle: dangerous(c.removeAgreement)},
	}
}
