// cert-manager's controller, from the upstream's packages. The upstream's own main is in a Go module that is not
// published (docs/adr/0047), so this one starts them: options, leadership, health and metrics.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	logging "k8s.io/component-base/logs/api/v1"

	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	"github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	"github.com/cert-manager/cert-manager/pkg/controller/issuers"
	"github.com/cert-manager/cert-manager/pkg/healthz"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
)

// What is run: certificates, and the issuers that need nobody outside (an authority's, self-signed).
var controllers = []string{
	issuers.ControllerName, clusterissuers.ControllerName,
	approver.ControllerName, ca.CRControllerName, selfsigned.CRControllerName,
	trigger.ControllerName, keymanager.ControllerName, requestmanager.ControllerName,
	issuing.ControllerName, readiness.ControllerName, revisionmanager.ControllerName,
}

// The upstream's lease, to which the chart's roles give access.
const lease = "cert-manager-controller"

// Addresses and numbers that the upstream has by default.
const (
	metricsAddress = ":9402"
	healthAddress  = ":9403"
	workers        = 5
	// What health forgives a leader after its lease has run out.
	healthPatience = 20 * time.Second
	// Between two tries of a request that was refused, at first and at most.
	firstBackoff, longestBackoff = time.Hour, 32 * time.Hour
)

// What the upstream's chart says on the command line.
type options struct {
	secrets                               string
	leaseNamespace                        string
	leaseDuration, renewDeadline, retries time.Duration
	logging                               *logging.LoggingConfiguration
}

func main() {
	if err := start(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func start(arguments []string) error {
	chosen := options{logging: logging.NewLoggingConfiguration()}
	if err := chosen.flags().Parse(arguments); err != nil {
		return err
	}
	logf.InitLogs()
	defer logf.FlushLogs()
	if err := logf.ValidateAndApply(chosen.logging); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return run(logf.NewContext(ctx, logf.Log, "controller"), chosen)
}

// By the upstream's names; any other argument is refused. The last two are of ACME, which is not run.
func (o *options) flags() *pflag.FlagSet {
	set := pflag.NewFlagSet("controller", pflag.ContinueOnError)
	set.StringVar(&o.secrets, "cluster-resource-namespace", "kube-system", "where Secrets of ClusterIssuers are")
	set.StringVar(&o.leaseNamespace, "leader-election-namespace", "kube-system", "where the lease is")
	set.DurationVar(&o.leaseDuration, "leader-election-lease-duration", time.Minute, "after which another may lead")
	set.DurationVar(&o.renewDeadline, "leader-election-renew-deadline", 40*time.Second, "in which the leader must renew")
	set.DurationVar(&o.retries, "leader-election-retry-period", 15*time.Second, "between two tries")
	set.String("acme-http01-solver-image", "", "not used")
	set.Int("max-concurrent-challenges", 0, "not used")
	logf.AddFlags(o.logging, set)
	return set
}

func run(ctx context.Context, o options) error {
	factory, err := controller.NewContextFactory(ctx, controller.ContextOptions{
		KubernetesAPIQPS:   20,
		KubernetesAPIBurst: 50,
		IssuerOptions:      controller.IssuerOptions{ClusterResourceNamespace: o.secrets},
		CertificateOptions: controller.CertificateOptions{
			// Not what kubectl notes for itself.
			CopiedAnnotationPrefixes:                 []string{"*", "-kubectl.kubernetes.io/"},
			CertificateRequestMinimumBackoffDuration: firstBackoff,
			CertificateRequestMaximumBackoffDuration: longestBackoff,
		},
	})
	if err != nil {
		return err
	}
	clients, err := factory.Build()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	health := healthz.NewServer(healthPatience)
	listener, err := net.Listen("tcp", healthAddress)
	if err != nil {
		return err
	}
	group.Go(func() error { return health.Start(ctx, listener) })
	if err := serveMetrics(ctx, group, clients); err != nil {
		return err
	}
	group.Go(func() error {
		return lead(ctx, clients, o, health.LeaderHealthzAdaptor, func(ctx context.Context) error {
			return control(ctx, factory, clients)
		})
	})
	return group.Wait()
}

func serveMetrics(ctx context.Context, group *errgroup.Group, clients *controller.Context) error {
	kinds := clients.SharedInformerFactory.Certmanager().V1()
	clients.Metrics.SetupCertificateCollector(kinds.Certificates().Lister())
	clients.Metrics.SetupIssuerCollector(kinds.Issuers().Lister())
	clients.Metrics.SetupClusterIssuerCollector(kinds.ClusterIssuers().Lister())
	listener, err := net.Listen("tcp", metricsAddress)
	if err != nil {
		return err
	}
	server := clients.Metrics.NewServer(listener)
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	return nil
}

// Do the work while nobody else does it. Who loses the lease ends, and is started anew by the kubelet.
func lead(
	ctx context.Context, clients *controller.Context, o options,
	watchdog *leaderelection.HealthzAdaptor, work func(context.Context) error,
) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, o.leaseNamespace, lease,
		clients.Client.CoreV1(), clients.Client.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: name})
	if err != nil {
		return err
	}
	worked := make(chan error, 1)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   o.leaseDuration,
		RenewDeadline:   o.renewDeadline,
		RetryPeriod:     o.retries,
		ReleaseOnCancel: true,
		WatchDog:        watchdog,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) { worked <- work(ctx) },
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lost := make(chan struct{})
	go func() {
		elector.Run(ctx)
		close(lost)
	}()
	select {
	case err := <-worked:
		cancel()
		<-lost
		return err
	case <-lost:
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("the lease %s/%s went to another", o.leaseNamespace, lease)
	}
}

func control(ctx context.Context, factory *controller.ContextFactory, clients *controller.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	known := controller.Known()
	for _, name := range controllers {
		made, err := known[name](factory)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		group.Go(func() error { return made.Run(workers, ctx) })
	}
	clients.SharedInformerFactory.Start(ctx.Done())
	clients.KubeSharedInformerFactory.Start(ctx.Done())
	return group.Wait()
}
