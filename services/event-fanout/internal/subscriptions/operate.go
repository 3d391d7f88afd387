package subscriptions

import (
	"context"
	"slices"
	"strings"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
)

// pageReads bounds how often the records are read for one page.
const pageReads = 8

// ListSubscriptions returns a page of the subscriptions that live, for operators. It may be shorter than asked for, and
// not be the last.
func (s *Service) ListSubscriptions(
	ctx context.Context, in operatorwire.Page,
) (out operatorwire.SubscriptionsResponse, err error) {
	limit := in.Limit
	if limit <= 0 {
		limit = operatorwire.DefaultPage
	}
	limit = min(limit, operatorwire.MaxPage)
	var page []Record
	if in.User != "" {
		page, out.Next = s.ofUser(in.User, in.Cursor, limit)
	} else if page, out.Next, err = s.pageOf(ctx, in.Cursor, limit); err != nil {
		return operatorwire.SubscriptionsResponse{}, err
	}
	owners := map[int]string{}
	out.Subscriptions = make([]operatorwire.Subscription, 0, len(page))
	for _, r := range page {
		partition := partitionOf(r.Watch)
		if _, asked := owners[partition]; !asked {
			record, err := s.Leases.Peek(ctx, leaseOf(partition))
			if err != nil {
				record.Holder = "" // nobody can tell
			}
			owners[partition] = record.Holder
		}
		out.Subscriptions = append(out.Subscriptions, operatorwire.Subscription{
			ID: r.ID, ClientID: r.ClientID, User: r.Owner, Source: r.Resource.Source, Path: r.Resource.Path,
			CreatedAt: r.CreatedAt.UTC(), Replica: owners[partition],
		})
	}
	return out, nil
}

// pageOf reads a page of the records of all users.
func (s *Service) pageOf(ctx context.Context, cursor string, limit int) (page []Record, next string, err error) {
	next = cursor
	for range pageReads {
		records, after, err := s.Records.Page(ctx, next, limit-len(page))
		if err != nil {
			return nil, "", err
		}
		next = after
		page = append(page, slices.DeleteFunc(records, func(r Record) bool { return r.Ended != "" })...)
		if next == "" || len(page) > 0 { // what one read got fits into an answer, two may not
			break
		}
	}
	return page, next, nil
}

// ofUser is a page of one user's, of whom the limits allow a few. The cursor is the last one's id.
func (s *Service) ofUser(user, cursor string, limit int) (page []Record, next string) {
	all := slices.DeleteFunc(s.known.of(s.known.byOwner, user), func(r Record) bool {
		return r.Ended != "" || r.ID <= cursor
	})
	slices.SortFunc(all, func(a, b Record) int { return strings.Compare(a.ID, b.ID) })
	if len(all) > limit {
		return all[:limit], all[limit-1].ID
	}
	return all, ""
}

// CloseSubscription ends a subscription of anybody, for operators. Its client is told.
func (s *Service) CloseSubscription(
	ctx context.Context, in operatorwire.CloseSubscriptionRequest,
) (operatorwire.Empty, error) {
	gone := fault.New(fault.NotFound, "unknown_subscription", "there is no such subscription, or it has ended")
	if !noetlwire.ValidID(in.ID) {
		return operatorwire.Empty{}, gone
	}
	for range closeTries {
		r, err := s.Records.Get(ctx, in.ID)
		switch kind, _ := fault.KindOf(err); {
		case err != nil && kind == fault.NotFound, err == nil && r.Ended != "":
			return operatorwire.Empty{}, gone
		case err != nil:
			return operatorwire.Empty{}, err
		}
		ended, err := s.end(ctx, r, frame.EndedByOperator)
		if err != nil || ended {
			return operatorwire.Empty{}, err
		}
	}
	return operatorwire.Empty{}, fault.New(
		fault.Unavailable, "subscription_busy", "the subscription is being changed: try again")
}
