package run

// GiveBackWith is giveBack.
var GiveBackWith = giveBack
