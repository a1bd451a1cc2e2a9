// On a phone the navigation is a strip: the page one is on is brought into view.
document.querySelector(".side [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
