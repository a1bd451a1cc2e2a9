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
		{pattern: "GET /console/agreements/new", need: mayManage, handle: c.newAgreementForm, fresh: true},
		{pattern: "POST /console/agreements/new", need: mayManage, handle: c.newAgreement, fresh: true, act: "Write the agreement", maxBody: bodyOfAgreement},
		{pattern: "GET /console/agreements/{name}/edit", need: mayManage, handle: c.editAgreementForm, fresh: true},
		{pattern: "POST /console/agreements/{name}/edit", need: mayManage, handle: c.editAgreement, fresh: true, act: "Change the agreement", maxBody: bodyOfAgreement},
		{pattern: "GET /console/agreements/{name}/remove", need: mayManage, handle: c.askRemoveAgreement, fresh: true},
		{pattern: "POST /console/agreements/{name}/remove", need: mayManage, handle: c.removeAgreement, fresh: true, act: "Remove the agreement"},
	}
}
