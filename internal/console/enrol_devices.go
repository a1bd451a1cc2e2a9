package console

import (
	"errors"
	"net/http"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/ui"
)

// devicesPath is where an enrolment connects more devices.
const devicesPath = "/enrol/devices"

// connected is what an enrolment has connected, for the pages after it.
type connected struct {
	Devices []factorRow
	AddURL  string // empty: there is no room for another
}

func (c *Console) connected(v *visit, info *auth.EnrolmentInfo) connected {
	var k connected
	for _, a := range info.Devices {
		k.Devices = append(k.Devices, newFactorRow(a, v.Now))
	}
	if len(info.Devices) < auth.MaxTOTP {
		k.AddURL = devicesPath
	}
	return k
}

func (c *Console) enrolTOTPForm(v *visit, info *auth.EnrolmentInfo) *totpPage {
	p := &totpPage{Base: v.Alone("Connect another device"), Action: devicesPath, Back: "/enrol/recovery", Enrol: true}
	p.Person = nil
	p.begun(info.Adding, "/enrol/qr.png")
	return p
}

func (c *Console) showEnrolDevices(w http.ResponseWriter, r *http.Request, v *visit) error {
	info, answered, err := c.at(w, r, auth.StepRecovery)
	if answered || err != nil {
		return err
	}
	if info.Adding == nil && len(info.Devices) >= auth.MaxTOTP {
		http.Redirect(w, r, "/enrol/recovery", http.StatusSeeOther)
		return nil
	}
	c.UI.Page(w, r, http.StatusOK, "totp", c.enrolTOTPForm(v, &info))
	return nil
}

func (c *Console) beginEnrolDevice(w http.ResponseWriter, r *http.Request, v *visit) error {
	info, answered, err := c.at(w, r, auth.StepRecovery)
	if answered || err != nil {
		return err
	}
	info.Adding = nil
	err = c.Auth.AddEnrolledTOTP(r.Context(), v.Origin, cookie(r, auth.EnrolCookie), r.PostForm.Get("name"))
	return c.begunTOTP(w, r, err, c.enrolTOTPForm(v, &info), func(note string) string {
		if note == "" {
			return devicesPath
		}
		return "/enrol/recovery"
	})
}

func (c *Console) confirmEnrolDevice(w http.ResponseWriter, r *http.Request, v *visit) error {
	info, answered, err := c.at(w, r, auth.StepRecovery)
	if answered || err != nil {
		return err
	}
	_, err = c.Auth.ConfirmEnrolledTOTP(r.Context(), v.Origin, cookie(r, auth.EnrolCookie), r.PostForm.Get("code"))
	switch {
	case err == nil, errors.Is(err, auth.ErrTooMany):
		http.Redirect(w, r, "/enrol/recovery", http.StatusSeeOther)
		return nil
	case errors.Is(err, auth.ErrSetupEnded):
		info.Adding = nil
		page := c.enrolTOTPForm(v, &info)
		page.Flash = &ui.Flash{Kind: ui.Warn, Text: "That took too long. Nothing was changed. Please start again, or go on without another device."}
		c.UI.Page(w, r, http.StatusGone, "totp", page)
		return nil
	}
	return c.wrongFirstCode(w, r, err, c.enrolTOTPForm(v, &info))
}

func (c *Console) cancelEnrolDevice(w http.ResponseWriter, r *http.Request, v *visit) error {
	if _, answered, err := c.at(w, r, auth.StepRecovery); answered || err != nil {
		return err
	}
	if err := c.Auth.CancelEnrolledTOTP(r.Context(), v.Origin, cookie(r, auth.EnrolCookie)); err != nil {
		return authError(err, "dropping a new authenticator")
	}
	http.Redirect(w, r, "/enrol/recovery", http.StatusSeeOther)
	return nil
}
